"""Disks of services that are full, slow and failing, in whole runs, as containers and as processes: the servers notice,
it is gone after the heal, and nothing stays mounted, attached or filled, however a run ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from chaosctl.safety.engine import local_engine
from tests.e2e.engines import all_of
from tests.e2e.harness import HERE, Place, Run, wait_until
from tests.e2e.kernel_state import bounded, held_below, slowed_devices
from tests.e2e.shortened import sets

DISKS, HELD = HERE / "tiny" / "disks.yaml", HERE / "tiny" / "disks-held.yaml"
DRIVERS = ("process", "docker")
KINDS = {"f1-disk_full", "f2-disk_slow", "f3-io_errors"}

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker", "disks")]


@pytest.fixture(scope="module", autouse=True)
def _no_disk_stays(place: Place) -> Iterator[None]:
    """Whatever a failing test leaves is taken away: it would disturb more than this module."""
    yield
    for run in place.runs:
        run.end_for_good()
    place.chaosctl("restore")


def unanswered(run: Run, fault: str) -> int:
    """Return how many operations of the bots came to nothing in the seconds in which the fault was in force."""
    (begin,), (end,) = ([one["at_ns"] for one in run.events(f"fault_{what}") if one["fault"] == fault]
                        for what in ("applied", "healed"))  # fmt: skip
    return sum(int(one["info"]) for one in run.events("generator") if begin < one["at_ns"] < end + 1_100_000_000)


def nothing_stays(run: Run) -> None:
    """Nothing of its disks but what the servers wrote."""
    assert held_below(run.bundle) == []
    assert slowed_devices(run.bundle)
    assert bounded(slowed_devices(run.bundle)) == []
    files = {path.name for path in (run.bundle / "state").rglob("*") if path.is_file()}
    assert files == {"store"}
    assert all(path.stat().st_size for path in (run.bundle / "state").rglob("store"))


def test_each_is_felt_proved_and_proved_gone(place: Place) -> None:
    runs = {driver: place.run(driver, *sets(f"target.driver={driver}"), file=DISKS) for driver in DRIVERS}
    for driver, run in runs.items():
        ended = run.ended(120)
        assert ended.code in (0, 6), (driver, ended)  # a busy machine leaves doubts about the rest
        assert {one["fault"] for one in run.events("fault_proved") if one["proved"]} == KINDS
        assert {one["fault"] for one in run.events("fault_heal_proved") if one["proved"]} == KINDS
        assert unanswered(run, "f1-disk_full") > 0
        assert unanswered(run, "f3-io_errors") > 0
        assert run.events("cleanup_failed") == []
    for run in runs.values():
        nothing_stays(run)


@pytest.fixture(scope="module")
def held(place: Place) -> dict[str, Run]:
    """A run of each driver with a full, a slow and a failing disk."""
    runs = {driver: place.run(f"held-{driver}", *sets(f"target.driver={driver}"), file=HELD) for driver in DRIVERS}
    for run in runs.values():
        for fault in sorted(KINDS):
            run.wait_for("fault_proved", fault=fault, proved=True)
        assert len(held_below(run.bundle)) == 6
    return runs


def test_killed_while_they_are_in_force_nothing_stays(held: dict[str, Run]) -> None:
    run = held["process"]
    run.signal(signal.SIGKILL)
    # One of its servers waits for the slow disk, where no signal reaches it.
    wait_until(lambda: not run.abandoned, "it is healed", 30)
    run.nothing_is_left(within_s=10.0)
    assert run.events("interrupted")[0]["by"] == "keeper"
    assert run.events("cleanup_failed") == []
    nothing_stays(run)


def test_where_the_keeper_is_killed_too_restore_does_it(place: Place, held: dict[str, Run]) -> None:
    run = held["docker"]
    keeper = run.pid_of("chaosctl.safety.keeper")
    os.kill(keeper, signal.SIGSTOP)  # or it would see the other's end before it met its own
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    run.process.wait()
    assert len(held_below(run.bundle)) == 6
    restored = place.chaosctl("restore", run.run_id)
    assert restored.code == 0, restored
    for sentence in ("unmounted the disk at", "removed", "takes writes again", "is not slowed any more"):
        assert sentence in restored.out, restored.out
    run.nothing_is_left()
    assert all_of(local_engine(), run.run_id) == []
    nothing_stays(run)
    assert "nothing to restore" in place.chaosctl("restore", run.run_id).out
