"""The keeper: parent of the services, last one standing when the orchestrator is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import NotReadyError, RecordingError
from chaosctl.safety import runs
from chaosctl.safety.exits import ExitNotice
from chaosctl.safety.journal import UndoJournal, journal_path, pending, processes_path
from chaosctl.safety.keeper_client import Keeper
from chaosctl.safety.label import end_run, processes_of
from chaosctl.safety.processes import Process, descendants, look, running, send_signal
from chaosctl.safety.undo import SignalUndo

from .conftest import BOUND_S, wait_until

pytestmark = pytest.mark.e2e

GONE_WITHIN_S = 2.0

# Starts a keeper, a service with a family, and a labelled process of its own (as a relay is); then waits to be killed.
# Its fork holds the keeper's pipe open: the end of the file alone would tell the keeper nothing.
ORCHESTRATOR = """
import json, os, subprocess, sys, time
from pathlib import Path
from chaosctl.safety import runs
from chaosctl.safety.journal import UndoJournal, journal_path
from chaosctl.safety.keeper_client import Keeper
from chaosctl.safety.label import labelled
from chaosctl.safety.processes import look
from chaosctl.safety.undo import HttpUndo, SignalUndo

run_id, bundle, undo_url = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
keeper = Keeper.start(run_id, bundle, time.monotonic_ns())
runs.register(run_id, bundle, journal_path(bundle), keeper.pid)
family = "sleep 600 & (sleep 600; true) & setsid -f sleep 600; setsid -f env -i sleep 600; sleep 600; true"
service = keeper.spawn("world[0]", ["sh", "-c", family], os.environ, bundle, bundle / "logs" / "world-0.log", 10_000)
relay = subprocess.Popen(["sleep", "600"], env=labelled(os.environ, run_id), start_new_session=True)
journal = UndoJournal(journal_path(bundle))
journal.write("f1-pause", [SignalUndo(service.pid, service.start_ticks, "SIGCONT")])
if undo_url:
    journal.write("f2-latency", [HttpUndo("DELETE", undo_url)])
with (bundle / "events.jsonl").open("a") as events:
    events.write('{"at_ns": 7, "event": "fault_applied", "fault": "f1-pause"}\\n{"at_ns": 8, "eve')
fork = os.fork()
if fork:
    told = {"keeper": keeper.pid, "service": service.pid, "relay": relay.pid, "fork": fork}
    print(json.dumps(told), flush=True)
time.sleep(600)
"""


class Orchestrator:
    """A process that runs the script above."""

    def __init__(self, run_id: str, bundle: Path, undo_url: str = "") -> None:
        self.bundle = bundle
        argv = [sys.executable, "-c", ORCHESTRATOR, run_id, str(bundle), undo_url]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.told: dict[str, int] = json.loads(self.process.stdout.readline())
        self.everything: tuple[Process, ...] = ()

    def settled(self) -> Orchestrator:
        """Wait until the shell has its subshell and five sleepers, two of them in sessions of their own."""
        wait_until(lambda: [p.command for p in self.family()] == ["sh", "sh", *["sleep"] * 5], "the family")
        others = (look(self.told["relay"]), look(self.told["keeper"]))
        self.everything = (*self.family(), *(process for process in others if process))
        return self

    def family(self) -> list[Process]:
        return sorted(descendants(self.told["keeper"]), key=lambda process: process.command)

    def alive(self) -> list[Process]:
        return [p for p in self.everything if running(p.pid, p.start_ticks)]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def clear_away(self) -> None:
        self.kill()
        for process in (*self.alive(), look(self.told["fork"])):
            if process is not None:
                send_signal(process.pid, process.start_ticks, signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def events(self) -> list[dict[str, Any]]:
        found = []
        for line in (self.bundle / "events.jsonl").read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"torn": line})
        return found


@pytest.fixture
def orchestrate(run_id: str, tmp_path: Path, state_home: Path) -> Iterator[Callable[..., Orchestrator]]:
    made: list[Orchestrator] = []

    def make(undo_url: str = "") -> Orchestrator:
        made.append(Orchestrator(run_id, tmp_path / "bundle", undo_url))
        return made[-1].settled()

    yield make
    for one in made:
        one.clear_away()


def test_kill_9_of_the_orchestrator_leaves_nothing(run_id: str, orchestrate: Callable[..., Orchestrator]) -> None:
    one = orchestrate()
    assert len(one.alive()) == 9
    assert [run.run_id for run in runs.active()] == [run_id]
    one.kill()
    wait_until(lambda: not one.alive(), "everything is gone", GONE_WITHIN_S)
    assert processes_of(run_id) == ()
    before, torn, interrupted = one.events()
    assert before["event"] == "fault_applied"
    assert torn == {"torn": '{"at_ns": 8, "eve'}
    assert interrupted["at_ns"] > 0
    assert {**interrupted, "at_ns": 0} == {"at_ns": 0, "event": "interrupted", "signal": "killed", "by": "keeper"}
    assert pending(journal_path(one.bundle)) == ()
    assert runs.active() == runs.abandoned() == ()
    assert not processes_path(journal_path(one.bundle)).exists()
    assert (one.bundle / "logs" / "keeper.log").read_text() == ""


def test_a_frozen_relay_of_others_holds_nothing_up_and_stays_on_the_list(
    orchestrate: Callable[..., Orchestrator],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        url = f"http://127.0.0.1:{frozen.getsockname()[1]}/proxies/p/toxics/f2-latency"
        one = orchestrate(url)
        one.kill()
        wait_until(lambda: not one.alive(), "everything is gone", GONE_WITHIN_S)
    assert [event["event"] for event in one.events()[2:]] == ["interrupted", "cleanup_failed"]
    assert [entry.fault_id for entry in pending(journal_path(one.bundle))] == ["f2-latency"]
    (run,) = runs.abandoned()
    # Now nobody listens there any more.
    assert runs.restore(run) == (f"DELETE {url}: the relay is gone, and its toxics with it",)
    assert runs.abandoned() == ()
    assert len([e for e in one.events() if e.get("event") == "interrupted"]) == 1


def test_with_the_keeper_killed_too_restore_ends_it_all(run_id: str, orchestrate: Callable[..., Orchestrator]) -> None:
    one = orchestrate()
    one.process.send_signal(signal.SIGSTOP)  # so that it cannot see its keeper end
    os.kill(one.told["keeper"], signal.SIGKILL)
    one.kill()
    wait_until(lambda: len(one.alive()) == 8, "the end of the keeper")
    # What has left its session and cleared its environment too is found by the keeper alone, which adopted it.
    beyond = [p for p in one.alive() if p.session == p.pid != one.told["service"] and p.pid not in processes_of(run_id)]
    assert len(beyond) == 1
    (run,) = runs.abandoned()
    did = runs.restore(run)
    assert one.alive() == beyond
    service = one.told["service"]
    assert did == (f"ended 7 processes of run {run_id}", f"process {service} has ended: nothing to undo")
    assert one.events()[-1] == {"at_ns": 7, "event": "interrupted", "signal": "killed", "by": "restore"}
    assert runs.abandoned() == ()
    assert runs.restore(run) == (f"run {run_id}: nothing is left to do",)


def test_signals_of_the_terminal_do_not_reach_it_nor_stick_to_services(run_id: str, tmp_path: Path) -> None:
    notices: list[ExitNotice] = []
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns(), notices.append)
    try:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(keeper.pid, signum)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            service = keeper.spawn("one", ["sleep", "600"], os.environ, tmp_path, tmp_path / "one.log", 1000)
            os.kill(service.pid, signum)
            wait_until(lambda pid=service.pid: any(n.pid == pid for n in notices), signum.name)
            assert notices[-1].exit.signal == signum.name
        assert keeper.alive()
    finally:
        assert keeper.close() == ()


def test_output_and_exits_are_reported(run_id: str, tmp_path: Path) -> None:
    notices: list[ExitNotice] = []
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns(), notices.append)
    try:
        before_ns = time.monotonic_ns()
        script = 'echo out; echo err >&2; echo "$CHAOSCTL_RUN $A"; cat; exit 3'
        env = {**os.environ, "A": "ünïcode"}
        keeper.spawn("one", ["sh", "-c", script], env, tmp_path, tmp_path / "one.log", 1000)
        wait_until(lambda: len(notices) == 1, "its end")
        assert (tmp_path / "one.log").read_text() == f"out\nerr\n{run_id} ünïcode\n", (
            "all is there when the end is told"
        )
        (notice,) = notices
        assert (notice.name, notice.exit.code, notice.exit.signal) == ("one", 3, None)
        assert before_ns < notice.exit.at_ns < time.monotonic_ns()
    finally:
        assert keeper.close() == ()


def test_a_chatty_service_is_bounded_and_hinders_nobody(run_id: str, tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns())
    try:
        keeper.spawn("one", ["sh", "-c", "yes chatter"], os.environ, tmp_path, log, 100_000)
        wait_until(lambda: (tmp_path / "one.log.1").exists(), "a full log")
        begin_s = time.monotonic()
        keeper.spawn("two", ["sleep", "600"], os.environ, tmp_path, tmp_path / "two.log", 1000)
        assert time.monotonic() - begin_s < BOUND_S
    finally:
        assert keeper.close() == ()
    assert 50_000 <= log.stat().st_size + (tmp_path / "one.log.1").stat().st_size <= 100_000


def test_what_cannot_be_started(run_id: str, tmp_path: Path) -> None:
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns())
    try:
        for argv, why in [
            (["no-such-program-here"], "no-such-program-here: No such file or directory"),
            ([str(tmp_path)], f"{tmp_path}: Permission denied"),
            (["sleep", "1\0"], "embedded null byte"),
        ]:
            with pytest.raises(NotReadyError) as caught:
                keeper.spawn("one", argv, os.environ, tmp_path, tmp_path / "one.log", 1000)
            assert str(caught.value) == why
        keeper.spawn("one", ["true"], os.environ, tmp_path, tmp_path / "one.log", 1000)
    finally:
        assert keeper.close() == ()


def test_what_is_held_for_a_name(run_id: str, tmp_path: Path) -> None:
    notices: list[ExitNotice] = []
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns(), notices.append)
    try:
        for name in ("one", "two"):
            argv = ["sh", "-c", "sleep 600 & setsid -f sleep 600; sleep 600; true"]
            keeper.spawn(name, argv, os.environ, tmp_path, tmp_path / f"{name}.log", 1000)
        wait_until(lambda: len(keeper.held({"one", "two"})) == 8, "both families")
        one = [process for process in keeper.held({"one"}) if process.command == "sh"]
        assert len(one) == 1
        os.kill(one[0].pid, signal.SIGKILL)
        wait_until(lambda: len(notices) == 1, "its end")
        left = keeper.held(set())
        assert [process.command for process in left if process.session == one[0].pid] == ["sleep", "sleep"]
        assert "sh" not in [process.command for process in left]
    finally:
        assert keeper.close() == ()
    assert processes_of(run_id) == ()
    assert keeper.held({"one"}) == ()


def test_the_orderly_end_says_nothing_of_an_interruption(run_id: str, tmp_path: Path, state_home: Path) -> None:
    lost: list[str] = []
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns(), on_lost=lost.append)
    keeper.spawn(
        "one", ["sh", "-c", "setsid -f sleep 600; sleep 600"], os.environ, tmp_path, tmp_path / "one.log", 1000
    )
    assert keeper.alive()
    assert keeper.close() == ()
    assert keeper.close() == ()
    assert not keeper.alive()
    assert processes_of(run_id) == ()
    assert not (tmp_path / "events.jsonl").exists()
    assert lost == []
    with pytest.raises(NotReadyError, match="the keeper has ended"):
        keeper.spawn("one", ["true"], os.environ, tmp_path, tmp_path / "one.log", 1000)


@pytest.mark.parametrize("is_healed", [True, False])
def test_told_to_it_takes_the_run_off_the_list_unless_something_is_in_force(
    run_id: str, tmp_path: Path, state_home: Path, is_healed: bool
) -> None:
    """Whoever told it may be killed before the answer comes, and nobody else would do it then."""
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns())
    runs.register(run_id, tmp_path, journal_path(tmp_path), keeper.pid)
    journal = UndoJournal(journal_path(tmp_path))
    seq = journal.write("f1", [SignalUndo(keeper.pid, 0, "SIGCONT")])
    if is_healed:
        journal.done(seq)
    assert keeper.close(forget=True) == ()
    assert (runs.active() == ()) is is_healed


def test_kill_9_of_the_keeper_is_noticed_and_all_can_be_ended(run_id: str, tmp_path: Path) -> None:
    lost: list[str] = []
    keeper = Keeper.start(run_id, tmp_path, time.monotonic_ns(), on_lost=lost.append)
    # One forgets its label as programs do that set their title.
    keeper.spawn("one", ["env", "-i", "sleep", "600"], os.environ, tmp_path, tmp_path / "one.log", 1000)
    keeper.spawn("two", ["sleep", "600"], os.environ, tmp_path, tmp_path / "two.log", 1000)
    wait_until(lambda: len(processes_of(run_id)) == 1, "the label is gone")
    services = descendants(keeper.pid)
    os.kill(keeper.pid, signal.SIGKILL)
    wait_until(lambda: bool(lost), "the news")
    assert "SIGKILL" in lost[0]
    assert not keeper.alive()
    assert keeper.end_everything() == ()
    assert [p for p in services if running(p.pid, p.start_ticks)] == []
    assert keeper.close() == ()


def test_a_bundle_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"cannot be made .*--out"):
        Keeper.start("r", tmp_path / "file", 0)


def test_a_keeper_that_does_not_start(run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NotReadyError, match=r"the keeper cannot be started: the keeper has ended; see .*keeper\.log"):
        Keeper.start(run_id, tmp_path, 0)


def test_it_is_light(run_id: str, tmp_path: Path) -> None:
    script = "import sys, chaosctl.safety.keeper; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    loaded = {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names)
    assert loaded <= {"chaosctl", "__main__"}


@pytest.fixture(autouse=True)
def _nothing_left(run_id: str) -> Iterator[None]:
    yield
    assert end_run(run_id, (), 0.0) == (0, ()), "a test left something behind"
