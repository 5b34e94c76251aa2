"""A replica of several processes, for the faults on what is inside one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from chaosctl.faults.contract import Inside, Place
from chaosctl.safety.processes import look


class Replica:
    """A main process and its children; what of a replica the faults on insides need."""

    service, index = "world", 0

    def __init__(self, argv: Sequence[str]) -> None:
        self.main = subprocess.Popen([*argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.read()

    def read(self) -> str:
        """Return the next line that it prints."""
        assert self.main.stdout is not None
        return self.main.stdout.readline().decode().strip()

    def ask(self, line: str) -> str:
        """Return what it answers to a line."""
        assert self.main.stdin is not None
        self.main.stdin.write(f"{line}\n".encode())
        return self.read()

    def pid(self) -> int | None:
        return None if self.main.poll() is not None else self.main.pid

    def start_ticks(self) -> int | None:
        inside = self.inside()
        return inside.start_ticks if inside else None

    def container(self) -> None:
        """It is in none."""

    def inside(self) -> Inside | None:
        process = look(self.main.pid) if self.main.poll() is None else None
        return Inside(process.pid, process.start_ticks, boxed=False) if process else None

    def end(self) -> None:
        inside = self.inside()
        for one in inside.members() if inside else ():
            inside.signal(one, "SIGKILL")
        self.main.wait()
        for stream in (self.main.stdin, self.main.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def replica_of(*argv: str) -> Iterator[tuple[Place, Replica, Inside]]:
    """Start it, and wait for its first line."""
    replica = Replica(argv)
    inside = replica.inside()
    assert inside is not None
    try:
        yield Place("world", processes=(replica,)), replica, inside
    finally:
        replica.end()


def evaluating(*before: str) -> tuple[str, ...]:
    """Return a Python program that answers each line with what that evaluates to, or the name of the error."""
    answers = """
import errno, os, socket, subprocess, sys, time
print(flush=True)
while line := sys.stdin.readline():
    try:
        said = repr(eval(line))
    except OSError as error:
        said = errno.errorcode[error.errno]
    print(said, flush=True)
"""
    return (sys.executable, "-c", "\n".join([*before, answers]))
