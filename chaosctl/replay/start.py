"""How a replay process is started, apart from its command. A canary is started by the same function."""

from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SHARED_MEMORY = Path("/dev/shm")
STDIN = "/dev/stdin"
SINGLE_BYTES = 65_536
MOST_PIECE_BYTES = 512
PIECES_SEED = 1
PIPE_BYTES = 2**18
# With so small a pipe, a process cannot run far ahead of who reads what it prints.
NARROW_BYTES = 4_096
BLOCKED_S = 0.05


@dataclass(frozen=True)
class Pace:
    """The process group runs for `runs_s` and then stands still for `stands_s`, again and again."""

    runs_s: float
    stands_s: float

    @property
    def slower(self) -> float:
        """How many times longer it may take."""
        return (self.runs_s + self.stands_s) / self.runs_s


@dataclass(frozen=True)
class Start:
    """What is changed about the start of a process.

    Variables added to its environment, words before its command (a program that sets something and then becomes the
    command), whether it starts in another folder, at which pace it runs, and whether its input log comes byte by byte
    through a pipe on its standard input.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    elsewhere: bool = False
    pace: Pace | None = None
    piped: bool = False

    def folder(self, usual: Path, fresh: Path) -> Path:
        """Return the working folder: `usual`, or a new one in `fresh` that holds links to all that is in `usual`.

        So a command that names its files relative to its folder starts from elsewhere, too. Raises OSError.
        """
        if not self.elsewhere:
            return usual
        other = fresh / "elsewhere"
        other.mkdir()
        for entry in usual.absolute().iterdir():
            (other / entry.name).symlink_to(entry)
        return other

    def log_path(self, log: Path) -> str:
        """Return the path under which the process finds its input log."""
        return STDIN if self.piped else str(log.absolute())


PLAIN = Start()


@contextmanager
def started(
    command: Sequence[str],
    start: Start,
    *,
    log: Path,
    folder: Path,
    fresh: Path,
    env: Mapping[str, str],
    out: IO[bytes] | int = subprocess.PIPE,
    err: IO[bytes] | int = subprocess.PIPE,
    narrow: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command` as `start` says, in a session of its own; end it and what it left behind afterwards.

    It works in `folder`; `fresh` is an empty folder for what the start needs. `narrow`: it is held up as soon as what
    it prints is not read. Who uses it must not reap the process: see `has_ended`. Raises OSError.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_DIRECT) if start.piped else (None, None)
    try:
        process = subprocess.Popen(
            [*start.prefix, *command],
            cwd=start.folder(folder, fresh),
            env={**env, **start.env},
            stdin=subprocess.DEVNULL if read_fd is None else read_fd,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pipesize=NARROW_BYTES if narrow else -1,
        )
    except BaseException:
        _close(write_fd)
        raise
    finally:
        _close(read_fd)
    over = threading.Event()
    threads = _accompany(process.pid, start, log, write_fd, over)
    try:
        yield process
    finally:
        over.set()
        os.killpg(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        process.wait()
        sweep(process.pid)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _accompany(
    group: int, start: Start, log: Path, fd: int | None, over: threading.Event
) -> tuple[threading.Thread, ...]:
    """Start what goes on beside the process until `over`: whoever feeds it its log, and whoever keeps its pace."""
    threads: list[threading.Thread] = []
    if fd is not None:
        threads.append(threading.Thread(target=_feed, args=(log, fd, over), daemon=True))
    if start.pace is not None:
        threads.append(threading.Thread(target=_keep_pace, args=(group, start.pace, over), daemon=True))
    for thread in threads:
        thread.start()
    return tuple(threads)


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the process has ended, without reaping it.

    As long as it is a zombie, its process group's id cannot be somebody else's.
    """
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _keep_pace(group: int, pace: Pace, over: threading.Event) -> None:
    while not over.wait(pace.runs_s):
        os.killpg(group, signal.SIGSTOP)
        over.wait(pace.stands_s)
        os.killpg(group, signal.SIGCONT)


def _feed(log: Path, fd: int, over: threading.Event) -> None:
    """Write the log into the pipe: each of the first bytes alone, then small pieces, always the same ones.

    In a pipe with O_DIRECT every write is a packet, and a read takes one packet at most, so that those bytes are also
    read one by one. Later pieces are no packets: a reader that asks for less than a packet would lose the rest.
    """
    with suppress(OSError), log.open("rb") as file:
        os.set_blocking(fd, False)
        with suppress(OSError):  # a user may have used up what pipes may take; then it is only slower
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for byte in file.read(SINGLE_BYTES):
            _write(fd, bytes((byte,)), over)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_DIRECT)
        sizes = random.Random(PIECES_SEED)
        while piece := file.read(sizes.randint(1, MOST_PIECE_BYTES)):
            _write(fd, piece, over)
    os.close(fd)


def _write(fd: int, piece: bytes, over: threading.Event) -> None:
    """Write all of it. Raises BrokenPipeError where nobody reads any more."""
    while piece:
        try:
            piece = piece[os.write(fd, piece) :]
        except BlockingIOError:
            if over.is_set():
                raise BrokenPipeError from None
            select.select([], [fd], [], BLOCKED_S)


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def sweep(pid: int) -> None:
    """Remove what libfaketime leaves in shared memory for a process that has ended: it does not do so itself."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with suppress(OSError):
            (SHARED_MEMORY / name).unlink()
