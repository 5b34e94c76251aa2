"""kill -9 of whatever part there is: nothing outlives the run, and nobody takes what is left for a pass."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.relay.contract import ProxySpec, Toxic
from chaosctl.relay.server import find_toxiproxy, start_toxiproxy
from tests.e2e.harness import HELD, Place, Run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

GONE_WITHIN_S = 2.0
PARTS = {"keeper": "chaosctl.safety.keeper", "swarm": "chaosctl.swarm", "relay": "chaosctl.relay.embedded"}
MORE = {"orchestrator": ("--set", "swarm.workers=2")}
HELD_RUNS = ("orchestrator", "orchestrator-and-keeper", *PARTS)


@pytest.fixture(scope="module")
def held(place: Place) -> dict[str, Run]:
    """One run for each way to die, side by side, each with both faults in force."""
    runs = {name: place.run(name, *MORE.get(name, ()), file=HELD) for name in HELD_RUNS}
    for run in runs.values():
        run.wait_until_held()
    return runs


def says_interrupted(place: Place, run: Run) -> None:
    """A report can be made of the bundle of a killed run, and it is no pass."""
    reported = place.chaosctl("report", run.bundle)
    assert reported.code == 0
    verdict = run.verdict()
    assert (verdict["status"], verdict["ended"]) == ("inconclusive", "interrupted")
    assert "interrupted" in (run.bundle / "report.html").read_text()
    judged = place.chaosctl("verify", run.bundle, "--json")
    assert judged.code == 130
    assert judged.json == verdict


def test_killed_in_mid_fault_nothing_is_left_within_two_seconds(place: Place, held: dict[str, Run]) -> None:
    run = held["orchestrator"]
    assert len(run.left()) >= 6, "service, relay, three processes of the swarm, and probe ran"
    run.signal(signal.SIGKILL)
    run.nothing_is_left(within_s=GONE_WITHIN_S)
    assert run.events("interrupted")[0]["by"] == "keeper"
    assert run.events("cleanup_failed") == []
    says_interrupted(place, run)


def test_killed_while_the_target_comes_up_nothing_is_left_either(place: Place) -> None:
    run = place.run("early", TINY_MOOD="deaf")
    run.wait_for("service_started")
    run.signal(signal.SIGKILL)
    run.nothing_is_left(within_s=GONE_WITHIN_S)
    says_interrupted(place, run)


def test_killed_with_its_keeper_restore_cleans_and_may_be_called_again(place: Place, held: dict[str, Run]) -> None:
    run = held["orchestrator-and-keeper"]
    refused = place.chaosctl("restore", run.run_id)
    assert refused.code == 2
    assert "is still going; end it first" in refused.err
    keeper = run.pid_of(PARTS["keeper"])
    os.kill(keeper, signal.SIGSTOP)  # or it would see the other's end before it met its own
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: run.process.poll() is not None, "the orchestrator is gone")
    assert run.abandoned
    assert run.left(), "nobody was there to end the services"
    ctrl_c_ends_a_restore_that_waits(place, run)
    restored = place.chaosctl("restore")
    assert restored.code == 0, restored
    assert run.run_id in restored.out
    run.nothing_is_left()
    again = place.chaosctl("restore")
    assert (again.code, again.out) == (0, "nothing to restore: no run was abandoned\n")
    says_interrupted(place, run)


def ctrl_c_ends_a_restore_that_waits(place: Place, run: Run) -> None:
    """It waits for another one, and is no verdict: exit code 130, and it can be called again."""
    with run.entry.open() as entry:
        fcntl.flock(entry, fcntl.LOCK_EX)
        waiting = place.start("restore")
        fds = Path(f"/proc/{waiting.process.pid}/fd")
        wait_until(lambda: any(fd.readlink() == run.entry for fd in fds.iterdir() if fd.is_symlink()), "it waits")
        waiting.signal(signal.SIGINT)
        ended = waiting.ended()
    assert (ended.code, ended.err) == (130, "interrupted\n")
    assert "another `chaosctl restore` is at it; waiting for that" in ended.out


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_ends_the_run_without_a_verdict(held: dict[str, Run], part: str) -> None:
    run = held[part]
    os.kill(run.pid_of(PARTS[part]), signal.SIGKILL)
    ended = run.ended()
    assert ended.code == 6, ended
    run.nothing_is_left()
    assert run.events("crashed")[0]["part"] == part
    assert run.verdict()["status"] == "inconclusive"
    assert f"the {part} crashed" in ended.out


class Shared:
    """A Toxiproxy that is somebody else's, with a proxy of theirs on it."""

    def __init__(self, folder: Path) -> None:
        binary = find_toxiproxy()
        assert binary is not None
        self.relay = start_toxiproxy(binary, log_path=folder / "shared.log", env=os.environ)
        self.url = self.relay.info.api_url
        self.relay.create(ProxySpec("theirs", "127.0.0.1:0", "127.0.0.1:1"))
        self.relay.add_toxic("theirs", Toxic("slow", "latency", "downstream", {"latency": 7, "jitter": 0}))

    def proxies(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/proxies", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    server = Shared(tmp_path)
    yield server
    server.relay.close()


@pytest.mark.needs("toxiproxy")
def test_killed_on_a_shared_toxiproxy_ours_is_gone_and_theirs_untouched(place: Place, shared: Shared) -> None:
    before = shared.proxies()
    run = place.run("shared", "--toxiproxy", shared.url, file=HELD)
    run.wait_until_held()
    assert len(shared.proxies()) == 2
    run.signal(signal.SIGKILL)
    run.nothing_is_left(within_s=GONE_WITHIN_S)
    assert shared.proxies() == before
