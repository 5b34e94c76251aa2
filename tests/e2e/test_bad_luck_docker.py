"""Bad luck with containers: somebody else meddles with them, two runs and two restores at once, what does not heal."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.safety.engine import Engine, local_engine, of_run
from tests.e2e.engines import all_of
from tests.e2e.harness import HELD, HERE, Place, Run, one_sentence
from tests.e2e.kernel_state import bounded, held_below, slowed_devices
from tests.e2e.shortened import sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker", "disks")]

MEDDLED = HERE / "tiny" / "meddled.yaml"
DISKS_HELD = HERE / "tiny" / "disks-held.yaml"
IN_CONTAINERS = sets("target.driver=docker")


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays(place: Place) -> Iterator[None]:
    """Whatever a failing test leaves is taken away."""
    yield
    for run in place.runs:
        run.end_for_good()
    place.chaosctl("restore")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return local_engine()


@pytest.fixture(scope="module")
def runs(place: Place) -> Iterator[dict[str, Run]]:
    """Runs that go on side by side; something is mounted where one of them has a disk."""
    short = sets("duration=3s", "timeline=[{ at: 0s, for: 1s, fault: disk_full, on: 'tiny[0]' }]")
    runs = {
        "in-the-way": place.run("in-the-way", *IN_CONTAINERS, *short, file=DISKS_HELD),
        "meddled": place.run("meddled", file=MEDDLED),
        "twice-restored": place.run("twice-restored", *IN_CONTAINERS, file=HELD),
    }
    runs["in-the-way"].wait_for("load_started")
    in_the_way = runs["in-the-way"].bundle / "state" / "tiny-1"
    subprocess.run(["mount", "-t", "tmpfs", "none", in_the_way], check=True)
    yield runs
    if "tmpfs" in "".join(held_below(runs["in-the-way"].bundle)):
        subprocess.run(["umount", in_the_way], check=True)


def containers_by_name(engine: Engine, run_id: str) -> dict[str, str]:
    """Return the ids of a run's containers: by service and replica, `tiny-0`."""
    found = engine.ask("GET", "/containers/json", filters=of_run(run_id))
    return {f"{one['Labels']['chaosctl.service']}-{one['Labels']['chaosctl.replica']}": one["Id"] for one in found}


def gone(run: Run, engine: Engine) -> None:
    """Nothing of it is anywhere."""
    run.nothing_is_left(within_s=10.0)
    assert all_of(engine, run.run_id) == []
    assert held_below(run.bundle) == []
    assert bounded(slowed_devices(run.bundle)) == []


def test_removed_renamed_and_restarted_in_mid_fault_by_somebody_else(runs: dict[str, Run], engine: Engine) -> None:
    run = runs["meddled"]
    for fault in ("f1-memory", "f2-disk_slow", "f3-loss"):
        run.wait_for("fault_proved", fault=fault, proved=True)
    named = containers_by_name(engine, run.run_id)
    engine.ask("DELETE", f"/containers/{named['tiny-0']}", force=1)
    engine.ask("POST", f"/containers/{named['tiny-1']}/rename", name=f"somebody-else-s-{os.getpid()}")
    engine.ask("POST", f"/containers/{named['tiny-2']}/restart", t=0)
    ended = run.ended(120)
    assert ended.code in (0, 6), ended  # a busy machine leaves doubts about the rest
    healed = {one["fault"]: one["proved"] for one in run.events("fault_heal_proved")}
    assert healed == {"f1-memory": True, "f2-disk_slow": True, "f3-loss": True}
    assert run.events("cleanup_failed") == []
    gone(run, engine)


def test_what_cannot_be_healed_is_named_with_how_to_remove_it(
    place: Place, runs: dict[str, Run], engine: Engine
) -> None:
    run = runs["in-the-way"]
    in_the_way = f"{run.bundle}/state/tiny-1"
    ended = run.ended(120)
    assert ended.code == 8, ended
    assert all(one["expected"] for one in run.events("service_exited")), "another run was meddled with"
    for where in (ended.out + ended.err, run.events("cleanup_failed")[0]["what"]):
        assert f"the disk at {in_the_way}: something else is mounted there" in where
        assert f"umount --lazy {in_the_way}" in where
    refused = place.chaosctl("restore", run.run_id)
    assert refused.code == 8, refused
    one_sentence(refused, f"the disk at {in_the_way}: something else is mounted there", "umount --lazy")
    subprocess.run(["umount", in_the_way], check=True)
    assert Path(f"{in_the_way}.disk").exists()
    restored = place.chaosctl("restore", run.run_id)
    assert restored.code == 0, restored
    assert f"unmounted the disk at {in_the_way}" in restored.out
    gone(run, engine)


def test_two_restores_at_once_share_the_work(place: Place, runs: dict[str, Run], engine: Engine) -> None:
    run = runs["twice-restored"]
    run.wait_until_held()
    keeper = run.pid_of("chaosctl.safety.keeper")
    os.kill(keeper, signal.SIGSTOP)  # or it would see the other's end before it met its own
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    run.process.wait()
    both = [place.start("restore", run.run_id), place.start("restore", run.run_id)]
    ends = [one.ended(60) for one in both]
    assert [one.code for one in ends] == [0, 0], ends
    assert sum("removed 2 containers and networks" in one.out for one in ends) == 1, ends
    gone(run, engine)
