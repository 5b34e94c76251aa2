"""The registry: what is going on, what was abandoned, and restoring it once."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.errors import CleanupError, NotReadyError, UsageError
from chaosctl.safety import runs
from chaosctl.safety.journal import UndoJournal, journal_path, processes_path
from chaosctl.safety.processes import look
from chaosctl.safety.undo import SignalUndo

from .conftest import BOUND_S, wait_until

pytestmark = pytest.mark.e2e
Start = Callable[..., subprocess.Popen[bytes]]


def abandon(run: runs.Run, state_home: Path, **changes: object) -> runs.Run:
    """Return the run as if its orchestrator had died: its process id now belongs to a later process."""
    entry = state_home / "chaosctl" / "runs" / f"{run.run_id}.json"
    data = {**json.loads(entry.read_text()), "start_ticks": run.start_ticks - 1, "keeper_start_ticks": -1, **changes}
    entry.write_text(json.dumps(data))
    (abandoned,) = runs.abandoned()
    return abandoned


@pytest.fixture
def going(run_id: str, tmp_path: Path, state_home: Path) -> runs.Run:
    return runs.register(run_id, tmp_path, journal_path(tmp_path), os.getpid())


def test_registered_it_is_active_and_unregistered_it_is_not(going: runs.Run, state_home: Path) -> None:
    assert runs.active() == (going,)
    assert runs.abandoned() == ()
    (state_home / "chaosctl" / "runs" / f"{going.run_id}.new").write_text("{")  # killed while it was written again
    runs.unregister(going.run_id)
    runs.unregister(going.run_id)
    assert runs.active() == ()
    assert list((state_home / "chaosctl" / "runs").iterdir()) == []


def test_without_xdg_state_home_it_lies_below_home(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    runs.register(run_id, tmp_path, tmp_path / "undo.jsonl", os.getpid())
    assert (tmp_path / ".local/state/chaosctl/runs" / f"{run_id}.json").exists()


def test_a_state_folder_that_cannot_be_written(run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotReadyError, match="set XDG_STATE_HOME to a folder that you may write"):
        runs.register(run_id, tmp_path, tmp_path / "undo.jsonl", os.getpid())
    assert runs.active() == ()


def test_what_is_no_entry_is_passed_over(going: runs.Run, state_home: Path) -> None:
    for name, text in [("a.json", ""), ("b.json", "[]"), ("c.json", '{"run_id": "c"}'), ("d.txt", "x")]:
        (state_home / "chaosctl" / "runs" / name).write_text(text)
    assert runs.active() == (going,)
    assert runs.abandoned() == ()


def test_a_run_that_is_going_is_not_restored(going: runs.Run) -> None:
    with pytest.raises(UsageError, match=f"is still going; end it first, with Ctrl-C or `kill {os.getpid()}`"):
        runs.restore(going)


def test_restore_ends_what_is_labelled_or_recorded(going: runs.Run, state_home: Path, start: Start) -> None:
    labelled, recorded = start("sleep", "600"), start("env", "-i", "sleep", "600")
    process = look(recorded.pid)
    assert process is not None
    record = processes_path(going.journal)
    UndoJournal(record).write("world[0]", [SignalUndo(process.pid, process.start_ticks, "SIGKILL")])
    assert runs.restore(abandon(going, state_home)) == (f"ended 2 processes of run {going.run_id}",)
    assert labelled.wait(BOUND_S) == recorded.wait(BOUND_S) == -15
    assert not record.exists()
    assert runs.abandoned() == ()


def test_after_a_reboot_process_ids_mean_nothing(going: runs.Run, state_home: Path, start: Start) -> None:
    bystander = start("env", "-i", "sleep", "600")
    process = look(bystander.pid)
    assert process is not None
    UndoJournal(processes_path(going.journal)).write("w", [SignalUndo(process.pid, process.start_ticks, "SIGKILL")])
    run = abandon(going, state_home, boot_id="another")
    assert runs.restore(run) == (f"run {going.run_id}: nothing was left, it is taken off the list",)
    assert bystander.poll() is None


def test_what_is_left_is_named_and_the_run_stays_listed(going: runs.Run, state_home: Path, start: Start) -> None:
    paused = start("sleep", "600")
    process = look(paused.pid)
    assert process is not None
    for fault_id in ("f1", "f2"):
        UndoJournal(going.journal).write(fault_id, [SignalUndo(os.getpid(), _own_ticks(), "SIGNONE")])
    run = abandon(going, state_home)
    with pytest.raises(CleanupError) as raised:
        runs.restore(run)
    said = "SIGNONE is not a signal of this machine; mend what does not answer or restart it, then run"
    assert str(raised.value).endswith(f"is not cleaned up: {said} `chaosctl restore` again"), "once, for both"
    assert paused.wait(BOUND_S) == -15, "the rest was done all the same"
    assert runs.abandoned() == (run,)


def _own_ticks() -> int:
    process = look(os.getpid())
    assert process is not None
    return process.start_ticks


def test_events_say_how_it_ended_once(going: runs.Run, state_home: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns": 41, "event": "phase", "name": "ramp"}\n{"at_ns": 4')
    run = abandon(going, state_home)
    runs.restore(run)
    assert json.loads(events.read_text().splitlines()[-1]) == {
        "at_ns": 41,
        "event": "interrupted",
        "signal": "killed",
        "by": "restore",
    }
    whole = events.read_text()
    runs.restore(run)
    assert events.read_text() == whole


def test_a_run_that_said_its_end_is_not_called_interrupted(going: runs.Run, state_home: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"at_ns": 41, "event": "run_ended", "reason": "completed"}\n')
    runs.restore(abandon(going, state_home))
    assert len(events.read_text().splitlines()) == 1


def test_two_restores_do_not_meet(going: runs.Run, state_home: Path, start: Start) -> None:
    process = start("sh", "-c", "trap 'sleep 0.3; exit' TERM; echo up; while :; do sleep 0.02; done")
    assert process.stdout is not None
    process.stdout.readline()
    run = abandon(going, state_home)
    did: list[tuple[str, ...]] = []
    waited: list[str] = []
    both = [threading.Thread(target=lambda: did.append(runs.restore(run, waited.append))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(BOUND_S)
    nothing = (f"run {run.run_id}: nothing is left to do",)
    assert sorted(did, key=lambda one: one == nothing)[1] == nothing
    assert did != [nothing, nothing]
    assert waited == ["another `chaosctl restore` is at it; waiting for that, at most 20 s"]


def test_a_restore_that_takes_too_long_is_named(
    going: runs.Run, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_LOCK_WITHIN_S", 0.05)
    run = abandon(going, state_home)
    with (state_home / "chaosctl" / "runs" / f"{run.run_id}.json").open() as entry:
        fcntl.flock(entry, fcntl.LOCK_EX)
        with pytest.raises(CleanupError, match=f"another `chaosctl restore` has been at run {run.run_id}"):
            runs.restore(run)


def test_a_keeper_that_hangs_is_ended(
    going: runs.Run, state_home: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = start("env", "-i", "sleep", "600")
    process = look(keeper.pid)
    assert process is not None
    monkeypatch.setattr(runs, "_KEEPER_WITHIN_S", 0.05)
    run = abandon(going, state_home, keeper_pid=keeper.pid, keeper_start_ticks=process.start_ticks)
    runs.restore(run)
    assert keeper.wait(BOUND_S) == -9
    wait_until(lambda: runs.abandoned() == (), "taken off the list")
    assert dataclasses.replace(run, boot_id="").is_going is False
