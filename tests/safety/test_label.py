"""Processes of a run are found by label or by session, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from chaosctl.safety.label import LABEL, end_processes, end_run, labelled, processes_of
from chaosctl.safety.processes import descendants, look, running, send_signal, session_members

from .conftest import BOUND_S, wait_until

pytestmark = pytest.mark.e2e
Start = Callable[..., subprocess.Popen[bytes]]


def test_the_label_is_one_variable() -> None:
    assert labelled({"A": "1"}, "r1") == {"A": "1", LABEL: "r1"}


def test_labelled_processes_are_found_and_others_are_not(start: Start, run_id: str) -> None:
    assert processes_of(run_id) == ()
    process = start("sleep", "600")
    wait_until(lambda: processes_of(run_id) == (process.pid,), "the process")
    assert processes_of(run_id[:-1]) == (), "a label is compared whole"
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes_of(run_id) == (), "a zombie runs no more"


def test_this_process_is_not_among_them(run_id: str) -> None:
    script = "import sys; from chaosctl.safety.label import processes_of; print(processes_of(sys.argv[1]))"
    env = labelled(os.environ, run_id)
    done = subprocess.run([sys.executable, "-c", script, run_id], env=env, capture_output=True, check=True, timeout=30)
    assert done.stdout == b"()\n"


def test_term_comes_first(start: Start) -> None:
    polite = start("sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done")
    assert polite.stdout is not None
    polite.stdout.readline()
    assert end_processes([polite.pid], BOUND_S) == ()
    assert polite.wait(BOUND_S) == 5


def test_kill_comes_after(start: Start) -> None:
    stubborn = start("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.02; done")
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    begin_s = time.monotonic()
    assert end_processes([stubborn.pid], 0.1) == ()
    assert time.monotonic() - begin_s >= 0.1
    assert stubborn.wait(BOUND_S) == -signal.SIGKILL


def test_a_stopped_process_gets_its_chance(start: Start) -> None:
    process = start("sleep", "600")
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: (found := look(process.pid)) is not None and found.state == "T", "the stop")
    assert end_processes([process.pid], BOUND_S) == ()
    assert process.wait(BOUND_S) == -signal.SIGTERM


def test_nothing_to_end(start: Start) -> None:
    process = start("true")
    process.wait(BOUND_S)
    assert end_processes([process.pid, process.pid], 1.0) == ()
    assert end_processes([], 1.0) == ()


def test_a_run_is_ended_with_what_lost_the_label(start: Start, run_id: str) -> None:
    leader = start("sh", "-c", "env -i sleep 600 & setsid sleep 601 & echo up; sleep 602")
    found = look(leader.pid)
    assert found is not None
    wait_until(lambda: len(descendants(leader.pid)) == 3, "its children")
    unlabelled = [child for child in descendants(leader.pid) if child.pid not in processes_of(run_id)]
    wait_until(lambda: any(child.session == child.pid for child in descendants(leader.pid)), "the one that leaves")
    ended, left = end_run(run_id, [(leader.pid, found.start_ticks)], 0.0)
    assert left == ()
    assert ended == 4
    assert [child for child in unlabelled if running(child.pid, child.start_ticks)] == []
    assert end_run(run_id, [(leader.pid, found.start_ticks)], 0.0) == (0, ())


def test_a_session_of_a_later_namesake_is_not_taken(start: Start) -> None:
    leader = start("sleep", "600")
    found = look(leader.pid)
    assert found is not None
    assert [member.pid for member in session_members(leader.pid, found.start_ticks)] == [leader.pid]
    assert session_members(leader.pid, found.start_ticks - 1) == ()


def test_a_signal_for_a_namesake_is_not_sent(start: Start) -> None:
    process = start("sleep", "600")
    found = look(process.pid)
    assert found is not None
    assert not send_signal(process.pid, found.start_ticks - 1, signal.SIGKILL)
    assert process.poll() is None
    assert send_signal(process.pid, found.start_ticks, signal.SIGKILL)
    assert process.wait(BOUND_S) == -signal.SIGKILL
    assert not send_signal(process.pid, found.start_ticks, signal.SIGKILL)


def test_a_command_name_with_parentheses_and_spaces(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    odd = tmp_path_factory.mktemp("odd") / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    process = start(str(odd), "600")
    wait_until(lambda: (found := look(process.pid)) is not None and found.command == "a) S 1 (b", "the name")
    found = look(process.pid)
    assert found is not None
    assert (found.parent, found.session) == (os.getpid(), process.pid)


def test_what_cannot_be_ended_is_named(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("sleep", "600")
    monkeypatch.setattr("chaosctl.safety.label.KILL_WITHIN_S", 0.05)
    monkeypatch.setattr("chaosctl.safety.label.send_signal", lambda *_: True)
    assert end_processes([process.pid], 0.05) == (
        f"process {process.pid} (sleep) could not be ended; end it with `sudo kill -9 {process.pid}`",
    )
