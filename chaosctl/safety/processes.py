"""Processes as the kernel shows them in /proc: who they are, whose they are, and signals that hit no stranger.

A process id alone names nobody for long: ids are used again. A process is named by its id and its start time
(`start_ticks`, field 22 of /proc/PID/stat, see proc_pid_stat(5)).
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process at one moment. `state` is the letter of proc_pid_stat(5): `Z` has ended and was not yet reaped."""

    pid: int
    command: str
    state: str
    parent: int
    session: int
    start_ticks: int

    @property
    def ended(self) -> bool:
        """True for a zombie: it runs no more, only its parent has not asked yet."""
        return self.state in "ZX"


def shown(process: Process) -> str:
    """Return `nginx (process 17)`."""
    return f"{process.command} (process {process.pid})"


def look(pid: int) -> Process | None:
    """Return the process with this id now, a zombie included; None when there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The command stands in parentheses and may itself contain some, and spaces: split at the last one.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def thread_states(pid: int) -> frozenset[str]:
    """Return the states of a process's threads (proc(5), /proc/PID/task/TID/stat field 3); empty if it is gone."""
    states = set()
    for task in (PROC / str(pid) / "task").glob("*"):
        try:
            # The second field is the program's name in parentheses, and may hold anything.
            states.add((task / "stat").read_text(errors="replace").rpartition(")")[2].split()[0])
        except OSError:
            continue  # the thread ended in between
    return frozenset(states)


def all_processes() -> Iterator[Process]:
    """Yield every process of the machine that still runs."""
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (process := look(int(entry.name))) is not None and not process.ended:
            yield process


def running(pid: int, start_ticks: int) -> Process | None:
    """Return the process that started at `start_ticks`, if it still runs; neither a zombie nor a namesake counts."""
    process = look(pid)
    return process if process and process.start_ticks == start_ticks and not process.ended else None


def descendants(pid: int) -> tuple[Process, ...]:
    """Return the children of `pid`, their children and so on, that still run."""
    children: dict[int, list[Process]] = {}
    for process in all_processes():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [pid]
    while waiting:
        below = children.pop(waiting.pop(), [])
        found += below
        waiting += [process.pid for process in below]
    return tuple(found)


def session_members(pid: int, start_ticks: int) -> tuple[Process, ...]:
    """Return what still runs of the session that the process `pid` leads or led.

    The kernel gives a session's id to no new process as long as the session has a member. So what is found without
    its leader belongs to it, if the id was recorded since the machine was booted: callers see to that.
    """
    leader = look(pid)
    if leader is not None and leader.start_ticks != start_ticks:
        return ()
    return tuple(p for p in all_processes() if p.session == pid and p.start_ticks >= start_ticks)


def send_signal(pid: int, start_ticks: int, signum: int) -> bool:
    """Send a signal to that very process. Return False when it has ended; raises PermissionError.

    The pidfd pins the process first and the start time is compared after, so a reused id is never hit. Kernels
    before 5.3 have no pidfd: there, a gap of microseconds stays.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return _send_without_pidfd(pid, start_ticks, signum)
    try:
        if running(pid, start_ticks) is None:
            return False
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _send_without_pidfd(pid: int, start_ticks: int, signum: int) -> bool:
    if running(pid, start_ticks) is None:
        return False
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True
