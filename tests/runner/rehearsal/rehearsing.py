"""Dry runs of the arena in containers, for tests of what they say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.loader import load_experiment
from chaosctl.faults.registry import fault_kinds, faults
from chaosctl.plan.build import build_plan
from chaosctl.runner.rehearsal.notes import Call
from chaosctl.runner.rehearsal.rehearse import rehearse
from chaosctl.runner.relays import WantedRelay
from chaosctl.verify.registry import objective_kinds

ARENA = Path(__file__).parents[3] / "experiments/arena"
NOWHERE = {**os.environ, "DOCKER_HOST": "unix:///nonexistent"}
DOCKER = ("target.driver=docker",)
COMPOSE = ("target.driver=compose",)
ATTACHED = (
    "target.driver=compose",
    "target.compose={ attach: true, project: theirs }",
    *(f"target.services.{name}.restart=null" for name in ("ledger", "world", "gateway")),
    "target.services.world.state=null",
)
_CHAIN = re.compile(r"chaosctl-[0-9a-f]{16}")


def calls_of(
    driver: tuple[str, ...],
    *overrides: str,
    file: str = "steady-load.yaml",
    relay: WantedRelay | None = None,
    environ: Mapping[str, str] = NOWHERE,
) -> tuple[Call, ...]:
    """Return the dry run of an experiment of the arena."""
    settings = (*driver, "duration=60s", "swarm.users=4", *overrides)
    loaded = load_experiment(ARENA / file, fault_kinds(), objective_kinds(), overrides=settings, environ=environ)
    return rehearse(loaded, build_plan(loaded, 7, fault_kinds()), faults(), relay, environ)


def told(calls: tuple[Call, ...], by: str) -> list[str]:
    """Return the lines of one, with `CHAIN` for chains, whose names are made of the run's."""
    return [_CHAIN.sub("CHAIN", call.what) for call in calls if call.by == by]


def fault(text: str) -> str:
    """Return the setting for this fault alone."""
    return f"timeline=[{{ at: 0s, {text} }}]"


def example_of(kind: FaultKind, link: str | None = None) -> str:
    """Return the setting for its example, which is about the arena: what may last lasts, and a rollback has something
    before it. `link` is where faults on links are to be."""
    text = kind.example
    if kind.lasting == "optional" and "for:" not in text:
        text = text.replace("{ at:", "{ for: 2s, at:")
    if kind.name == "rollback":
        text = f"{{ at: 0s, fault: deploy, on: world, version: '2', env: {{ A: b }} }}, {text}"
    if kind.acts_on == "link" and link is not None:
        text = re.sub(r"\bon: [^,}]+", f"on: {link} ", text)
    return f"timeline=[{text}]"


def says_all(calls: tuple[Call, ...], kind: FaultKind) -> None:
    """The fault of this kind says what it does, and what undoes it or brings back what it ends."""
    done = [call for call in calls if call.by.endswith(f"-{kind.name}")]
    assert done
    assert not [call.what for call in done if call.what.startswith("fails")]
    undone = [call for call in calls if call.by.endswith(f"-{kind.name} heals")]
    if kind.lasting != "never":
        assert [call for call in done if call.undo] or undone
