"""A small set of fault and objective kinds, a right experiment, and how to load a variation of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, model_validator

from chaosctl.errors import ExperimentError
from chaosctl.experiment.kinds import FaultKind, ObjectiveKind, Params
from chaosctl.experiment.loader import Loaded, load_experiment
from chaosctl.experiment.units import DurationNs, Share


class LatencyFault(Params):
    latency_ns: DurationNs = Field(alias="latency", description="The added delay")
    jitter_ns: DurationNs = Field(default=0, alias="jitter", description="Its spread")


class PartitionFault(Params):
    how: Literal["blackhole", "refuse", "reset"] = Field(default="blackhole", description="What the other side sees")


class Nothing(Params):
    pass


class Recovery(Params):
    serviceable_ns: DurationNs = Field(alias="serviceable", description="Until players play again")
    steady_ns: DurationNs | None = Field(default=None, alias="steady", description="Until it is as before")


class Errors(Params):
    at_most: Share = Field(description="The share of operations that may fail")
    during: Literal["steady", "all"] = Field(default="all", description="When")
    cohort: str | None = Field(default=None, description="Whose")


class LostAcks(Params):
    at_most: int = Field(default=0, ge=0, description="How many may be gone")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"at_most": value}


class Release(Params):
    unreadable: int | None = Field(default=None, ge=0, description="How many are left unreadable")


class Conserved(Params):
    totals: tuple[str, ...] = Field(min_length=1, description="The names of the totals")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"totals": value} if isinstance(value, list) else value


FAULTS: Mapping[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("latency", "link", LatencyFault, "always", "delay", "Delays what passes", "{ fault: latency }"),
        FaultKind(
            "partition",
            "link",
            PartitionFault,
            "always",
            "passage",
            "Cuts the link",
            "{ fault: partition }",
            without_relay={"how": frozenset({"blackhole"})},
        ),
        FaultKind("kill", "service", Nothing, "optional", "process", "SIGKILL", "{ fault: kill }", takes_down="while"),
        FaultKind("restart", "service", Nothing, "never", "process", "Stops and starts it", "{ fault: restart }"),
    )
}
OBJECTIVES: Mapping[str, ObjectiveKind] = {
    kind.name: kind
    for kind in (
        ObjectiveKind("recovery", Recovery, "Time to recover", "recovery: {}", frozenset(("probe", "faults"))),
        ObjectiveKind("errors", Errors, "Share of failed operations", "errors: { at_most: 1% }"),
        ObjectiveKind("release", Release, "Back", "release: {}", frozenset(("deploy",))),
        ObjectiveKind("lost_acks", LostAcks, "Lost", "lost_acks: 0", frozenset(("history",)), {"type": "integer"}),
        ObjectiveKind(
            "conserved", Conserved, "Kept", "conserved: [gold]", frozenset(("totals",)),
            {"type": "array", "items": {"type": "string"}},
        ),
    )
}  # fmt: skip

GOOD = """\
version: 1
name: world-crash
hypothesis: Players play again within 5 s
target:
  services:
    ledger:
      run: [ledger, --listen, "${self.main}"]
      ports: [main]
    world:
      run: [world, --listen, "${self.main}", --ledger, "${link.world-ledger}", --data, "${state}"]
      ports: [main, status]
      needs: [ledger]
      ready: { http: status/healthz, within: 10s }
      probe: { send: "PING\\r\\n", expect: PONG }
      offers: { totals: { http: status/totals } }
    gateway:
      replicas: 2
      run: [gateway, "${self.main}", "${self.main.port}", "${service.world.main}", "${link.gateway-world}"]
      ports: [main]
      needs: [world]
      probe: { send: "PING\\r\\n", expect: PONG }
  links:
    bots-gateway: { to: gateway }
    gateway-world: { from: gateway, to: world }
    world-ledger: { from: world, to: ledger }
swarm:
  bots: bots.py:Player
  users: 10
  ramp: 2s
  cohorts:
    near: { share: 80% }
    far: { share: 20%, latency: 120ms }
baseline: 5s
timeline:
  - { at: 0s, for: 6s, fault: latency, on: gateway-world, latency: 80ms, jitter: 20ms }
  - { at: 12s, fault: kill, on: world }
  - { at: 24s, for: 4s, fault: partition, on: world-ledger }
duration: 40s
objectives:
  recovery: { serviceable: 3s }
  errors: { at_most: 1% }
  lost_acks: 0
  conserved: [gold]
"""

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a text (the good experiment if none is given) and load it."""

    def load_text(text: str = GOOD, *overrides: str, **environ: str) -> Loaded:
        (tmp_path / "bots.py").touch()
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return load_experiment(path, FAULTS, OBJECTIVES, overrides=overrides, environ=environ)

    return load_text


@pytest.fixture
def wrong(load: Load, tmp_path: Path) -> Wrong:
    """Load what must be refused; return `line:column: text` of each problem (with the file, where it is another)."""

    def problems_of(text: str = GOOD, *overrides: str, **environ: str) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, *overrides, **environ)
        here = f"{tmp_path / 'experiment.yaml'}:"
        return [str(problem).removeprefix(here).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]

    return problems_of


@pytest.fixture
def kinds() -> tuple[Mapping[str, FaultKind], Mapping[str, ObjectiveKind]]:
    """Return the small sets of fault and objective kinds."""
    return FAULTS, OBJECTIVES
