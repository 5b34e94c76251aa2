"""What a fault needs of the target is said before anything is started, with the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.errors import ExperimentError
from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.loader import load_experiment
from chaosctl.faults.registry import fault_kinds
from chaosctl.verify.registry import objective_kinds

EXPERIMENT = """\
version: 1
name: small
hypothesis: It answers
target:
  driver: {driver}
  services:
    world: {{ run: [world], image: 'world:1', ports: [main], probe: {{ send: "PING\\n", expect: PONG }} }}
    ledger: {{ run: [ledger], image: 'ledger:1', ports: [main], restart: {{ after: 1s, at_most: 3 }} }}
    stored: {{ run: [stored], image: 'stored:1', disk: 16MiB }}
  links:
    bots-world: {{ to: world }}
swarm: {{ bots: "bots.py:Player", users: 10, ramp: 1s }}
baseline: 5s
timeline:
  - {{ at: 1s, {item} }}
duration: 30s
objectives:
  errors: {{ at_most: 1% }}
"""


def problems(folder: Path, item: str, driver: str = "docker") -> list[str]:
    """Return what is said of an experiment with this item."""
    (folder / "bots.py").touch()
    path = folder / "experiment.yaml"
    path.write_text(EXPERIMENT.format(item=item, driver=driver))
    try:
        load_experiment(path, fault_kinds(), objective_kinds(), environ={})
    except ExperimentError as error:
        return [problem.text for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "kind", [kind for kind in fault_kinds().values() if kind.needs_containers], ids=lambda k: k.name
)
def test_what_only_containers_have_is_refused_for_processes(kind: object, tmp_path: Path) -> None:
    item = kind.example.strip("{} ").partition(",")[2]
    assert problems(tmp_path, item) == []
    (text,) = problems(tmp_path, item, "process")
    assert "only containers have" in text
    assert "or use `driver: docker`" in text


@pytest.mark.parametrize("kind", [kind for kind in fault_kinds().values() if kind.needs_disk], ids=lambda k: k.name)
@pytest.mark.parametrize("driver", ["process", "docker"])
def test_a_fault_on_a_disk_needs_one(driver: str, kind: FaultKind, tmp_path: Path) -> None:
    item = kind.example.strip("{} ").partition(",")[2]
    (text,) = problems(tmp_path, item, driver)
    assert text == f"{kind.name} acts on a disk of the service's own, and 'world' has none; add `disk: 64MiB` to it"
    assert problems(tmp_path, item.replace("on: world", "on: stored"), driver) == []


@pytest.mark.parametrize("driver", ["process", "docker"])
def test_a_crash_needs_a_restart_policy_to_act(driver: str, tmp_path: Path) -> None:
    assert problems(tmp_path, "fault: crash, on: ledger", driver) == []
    (text,) = problems(tmp_path, "fault: crash, on: world", driver)
    assert text == "crash leaves it to the restart policy, and 'world' has none; add `restart:` to it, or use kill"


def test_a_port_is_named_as_the_service_names_it(tmp_path: Path) -> None:
    assert problems(tmp_path, "for: 1s, fault: block, on: world, port: main") == []
    (text,) = problems(tmp_path, "for: 1s, fault: block, on: world, port: mian")
    assert text == "'world' has no port 'mian'; did you mean 'main'?"
    (text,) = problems(tmp_path, "for: 1s, fault: block, on: world, port: '7000 -j ACCEPT'")
    assert "has no port '7000 -j ACCEPT'" in text


@pytest.mark.parametrize(
    ("item", "wrong"),
    [
        ("on: world, isolate: 'ledger[0]'", "isolate takes at least 2 replicas of 'world', and these are 1"),
        ("on: ledger, shape: ring", "ring takes at least 4 replicas of 'ledger', and these are 1"),
        ("on: world, groups: [[world], [leger]]", "there is no service 'leger'; did you mean 'ledger'?"),
        ("on: world, groups: [[world], ['ledger[1]']]", "'ledger' has 1 replicas, counted from 0"),
        ("on: world, groups: [[world], ['any 1 of ledger']]", "chance does not decide who is in a group"),
        ("on: world, groups: [[leader of world], [ledger]]", "nothing says who is leader of 'world'"),
        ("on: world, groups: [[world], []]", "a group without a replica is parted from nobody"),
        ("on: world", "a split takes one of groups, isolate and shape"),
    ],
)
def test_a_split_says_who_is_parted_from_whom(item: str, wrong: str, tmp_path: Path) -> None:
    assert problems(tmp_path, "for: 1s, fault: split, on: world, groups: [[world], [ledger]]") == []
    assert any(wrong in text for text in problems(tmp_path, f"for: 1s, fault: split, {item}"))
