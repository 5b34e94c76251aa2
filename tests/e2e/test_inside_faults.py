"""Faults inside a replica, in whole runs: each is proved, and proved gone; killed midway, nothing is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from chaosctl.safety.engine import local_engine, remove_run
from tests.e2e.engines import all_of
from tests.e2e.harness import HELD, Place, Run, wait_until

INSIDE, BOXED = HELD.parent / "inside.yaml", HELD.parent / "inside_boxed.yaml"
KINDS = {"f1-freeze", "f2-fill_fds", "f3-clock_skew"}
NAMES = {"f4-dns", "f5-dns", "f6-dns"}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker")]


@pytest.fixture(scope="module")
def runs(place: Place) -> Iterator[dict[str, Run]]:
    """Side by side, for they mostly wait; whatever a failing test leaves is removed."""
    files = {"processes": INSIDE, "containers": BOXED, "killed": BOXED}
    runs = {name: place.run(f"inside-{name}", file=file) for name, file in files.items()}
    yield runs
    for run in runs.values():
        run.end_for_good()
        if run.run_id:
            remove_run(local_engine(), run.run_id, 20.0)


def test_killed_while_they_are_in_force_nothing_is_left(runs: dict[str, Run]) -> None:
    run = runs["killed"]
    run.wait_for("fault_proved", fault="f4-dns")
    run.signal(signal.SIGKILL)
    wait_until(lambda: not all_of(local_engine(), run.run_id), "its containers and its network are gone")
    run.nothing_is_left(within_s=10.0)
    assert run.events("cleanup_failed") == []


@pytest.mark.parametrize(("name", "faults"), [("processes", KINDS), ("containers", KINDS | NAMES)])
def test_each_is_proved_and_proved_gone(runs: dict[str, Run], name: str, faults: set[str]) -> None:
    run = runs[name]
    ended = run.ended()
    assert ended.code == 0, ended
    assert {one["fault"] for one in run.events("fault_proved") if one["proved"]} == faults
    assert {one["fault"] for one in run.events("fault_heal_proved") if one["proved"]} == faults
    assert run.events("cleanup_failed") == []
    run.nothing_is_left()
