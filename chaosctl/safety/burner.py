"""A process of ours in somebody else's control groups: it burns processor time there, holds memory, or takes all of it.

Run as a script of its own, with nothing of chaosctl imported, so that it starts at once. Its words: what (`cpu`,
`hold`, `fill`), how much (processes, bytes), the process that it is there for, where the kernel counts whom it ends for
lack of memory (or -), then each `cgroup.procs` to join. It ends when that process ends, or its own standard input does:
with chaosctl. It says `begun` and its processes; and at the end of the other process `ended N`: so many of the group
were ended for lack of memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

# What holds memory is a file in memory by this name: its pages are charged to the group, but are not our process's.
HELD = "chaosctl-held"
_PR_SET_PDEATHSIG = 1
_PIECE_BYTES = 1 << 20
_AGAIN_S = 0.05
# Whom the kernel ends for lack of memory: this one first, that one never (proc(5), oom_score_adj).
_FIRST, _NEVER = "1000", "-1000"


def main(words: list[str]) -> None:
    """Do as the words say."""
    what, amount, pid, counted, *groups = words
    watched = os.pidfd_open(int(pid))
    # As urgent as what it competes with, whatever chaosctl is.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, int(pid)))
    for path in groups:
        _write(path, str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    before = _ended_for_lack(counted)
    with _marked_first(pid) if what == "fill" else contextlib.nullcontext():
        work: dict[str, Callable[[], None]] = {
            "cpu": _spin, "hold": lambda: _hold(int(amount)), "fill": lambda: _fill(int(amount)),
        }  # fmt: skip
        children = [_fork(work[what]) for _ in range(int(amount) if what == "cpu" else 1)]
        _say("begun", *children)
        ready: list[object] = []
        while not ready:
            ready, _, _ = select.select([watched, sys.stdin], [], [], _AGAIN_S)
            if not ready and what == "fill" and os.waitpid(children[0], os.WNOHANG)[0]:
                # The kernel chose ours and not the other one: once more.
                children = [_fork(work[what])]
        if watched in ready:
            # Its group cannot be removed while we are in it, so the count is still there.
            _say("ended", _ended_for_lack(counted) - before)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - pathlib would take longer to import than all the rest
        file.write(text)


def _say(*words: object) -> None:
    os.write(sys.stdout.fileno(), f"{' '.join(map(str, words))}\n".encode())


@contextlib.contextmanager
def _marked_first(pid: str) -> Iterator[None]:
    """Have the kernel choose the other process before ours. If it outlives us, it is as it was."""
    path = f"/proc/{pid}/oom_score_adj"
    with open(path) as file:  # noqa: PTH123
        before = file.read().strip()
    _write(path, _FIRST)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _write(path, before)


def _fork(work: Callable[[], None]) -> int:
    head = os.getpid()
    if child := os.fork():
        return child
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == head:
        work()
    os._exit(0)


def _spin() -> None:
    while True:
        pass


def _hold(amount_bytes: int) -> None:
    """Take so much memory, as soon as there is so much, and keep it."""
    with contextlib.suppress(OSError):  # needs a capability that not every root has
        _write("/proc/self/oom_score_adj", _NEVER)
    file = os.memfd_create(HELD)
    for begin in range(0, amount_bytes, _PIECE_BYTES):
        while not _taken(file, begin, min(_PIECE_BYTES, amount_bytes - begin)):
            time.sleep(_AGAIN_S)
    signal.pause()


def _taken(file: int, begin: int, size_bytes: int) -> bool:
    try:
        os.posix_fallocate(file, begin, size_bytes)
    except OSError:
        return False
    return True


def _fill(amount_bytes: int) -> None:
    """Take so much memory as a program does that uses it, page by page."""
    kept = []
    for _ in range(max(1, amount_bytes // _PIECE_BYTES)):
        piece = mmap.mmap(-1, _PIECE_BYTES)
        for page in range(0, _PIECE_BYTES, mmap.PAGESIZE):
            piece[page] = 1
        kept.append(piece)
    signal.pause()


def _ended_for_lack(path: str) -> int:
    """Return the kernel's count (cgroups(7): memory.events, and memory.oom_control of version 1)."""
    with contextlib.suppress(OSError), open(path) as file:  # noqa: PTH123
        for line in file:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


if __name__ == "__main__":
    main(sys.argv[1:])
