"""Every process of a run carries `CHAOSCTL_RUN=<run id>` in its environment, and is found again by it.

A program that writes over its environment to set its title (redis-server, nginx, postgres) loses the label. That is
why the keeper also records what it starts, and why `end_run` takes those records.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from chaosctl.safety.processes import PROC, Process, look, running, send_signal, session_members

LABEL = "CHAOSCTL_RUN"
# What of it burns or holds something for one fault carries the fault's mark, too.
BURNER_LABEL = "CHAOSCTL_BURNER"
KILL_WITHIN_S = 1.5
_POLL_S = 0.005
_ROUNDS = 5

Found = Callable[[], tuple[Process, ...]]


def labelled(environ: Mapping[str, str], run_id: str) -> dict[str, str]:
    """Return the environment with the label of the run: for whatever is started in it."""
    return {**environ, LABEL: run_id}


def processes_of(run_id: str) -> tuple[int, ...]:
    """Return the ids of the running processes that carry the label, this one excepted.

    What this user may not read belongs to another user and is not ours.
    """
    return tuple(process.pid for process in _labelled_processes(run_id))


def end_processes(pids: Iterable[int], term_within_s: float) -> tuple[str, ...]:
    """End the processes: SIGTERM, and SIGKILL for what is left after `term_within_s` (at once when it is 0).

    Returns within `term_within_s` + 1.5 s. Return a sentence for each process that could not be ended.
    """
    found = tuple(process for pid in set(pids) if (process := look(pid)) is not None and not process.ended)
    return _say(_end(found, term_within_s))


def burners_of(mark: str) -> tuple[Process, ...]:
    """Return the running processes that carry the mark of a fault."""
    return _carrying(BURNER_LABEL, mark)


def members_of_run(run_id: str, sessions: Iterable[tuple[int, int]]) -> tuple[Process, ...]:
    """Return all that carries the label, and all that is left of the recorded sessions (id, start ticks of the leader),
    this process excepted."""
    members = (member for session in sessions for member in session_members(*session))
    found = {process.pid: process for process in (*_labelled_processes(run_id), *members)}
    return tuple(process for pid, process in found.items() if pid != os.getpid())


def end_run(run_id: str, sessions: Iterable[tuple[int, int]], term_within_s: float) -> tuple[int, tuple[str, ...]]:
    """End every member of the run. Return as `end_found` does."""
    recorded = tuple(sessions)
    return end_found(lambda: members_of_run(run_id, recorded), term_within_s)


def end_found(find: Found, term_within_s: float) -> tuple[int, tuple[str, ...]]:
    """End what `find` finds, and what it finds then, since what is ended may be starting something at that moment.

    Looks five times at most. Return how many were ended, and a sentence for each that could not be.
    """
    ended: set[tuple[int, int]] = set()
    left: tuple[Process, ...] = ()
    for _ in range(_ROUNDS):
        found = find()
        left = _end(found, term_within_s)
        ended |= {(p.pid, p.start_ticks) for p in found if p not in left}
        if not found or left:
            break
        term_within_s = 0.0  # what came up meanwhile was asked once already, as part of its family
    return len(ended), _say(left)


def _labelled_processes(run_id: str) -> tuple[Process, ...]:
    return _carrying(LABEL, run_id)


def _carrying(label: str, value: str) -> tuple[Process, ...]:
    wanted = f"{label}={value}".encode()
    found: list[Process] = []
    for entry in PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        # Look first: were the id used again between the two reads, its start time would tell on the first signal.
        process = look(int(entry.name))
        if process is not None and not process.ended and wanted in _environ(process.pid):
            found.append(process)
    return tuple(found)


def _environ(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _end(found: tuple[Process, ...], term_within_s: float) -> tuple[Process, ...]:
    """Return what could not be ended."""
    left = found
    if term_within_s > 0:
        _send(left, signal.SIGTERM)
        _send(left, signal.SIGCONT)  # a stopped process would not see the first
        left = _wait_gone(left, term_within_s)
    if left:
        _send(left, signal.SIGKILL)
        left = _wait_gone(left, KILL_WITHIN_S)
    return left


def _send(processes: tuple[Process, ...], signum: int) -> None:
    for process in processes:
        try:
            send_signal(process.pid, process.start_ticks, signum)
        except OSError:
            continue  # not ours to end: it will be among what is left


def _wait_gone(processes: tuple[Process, ...], within_s: float) -> tuple[Process, ...]:
    end_s = time.monotonic() + within_s
    left = processes
    while left := tuple(p for p in left if running(p.pid, p.start_ticks) is not None):
        if time.monotonic() >= end_s:
            break
        time.sleep(_POLL_S)
    return left


def _say(left: tuple[Process, ...]) -> tuple[str, ...]:
    return tuple(
        f"process {p.pid} ({p.command}) could not be ended; end it with `sudo kill -9 {p.pid}`"
        for p in sorted(left, key=lambda process: process.pid)
    )
