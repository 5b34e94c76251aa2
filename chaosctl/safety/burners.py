"""Burners: processes of ours in a replica's control groups, which compete with it for what the groups are given.

They end with the heal (found by their mark), with the process that they are there for, with the run (they carry its
label) and with chaosctl (their standard input is a pipe that nobody else holds).
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety import burner, cgroups
from chaosctl.safety.label import BURNER_LABEL, LABEL

BEGINS_WITHIN_S = 5.0
# What st_blocks counts in (stat(2)).
BLOCK_BYTES = 512
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_GONE = frozenset("ZX")
_COUNTED = {True: "memory.events", False: "memory.oom_control"}


@dataclass(frozen=True)
class Burner:
    """One that has begun: `workers` are those that burn or hold, `head` watches over them."""

    head: subprocess.Popen[str] | None
    workers: tuple[int, ...]

    def says(self, within_s: float) -> list[str]:
        """Return the words of its next line; none if it says nothing in that time, or has ended."""
        assert self.head is not None
        assert self.head.stdout is not None
        return self.head.stdout.readline().split() if select.select([self.head.stdout], [], [], within_s)[0] else []


def begin(mark: str, run_id: str, pid: int, what: str, amount: int, controllers: Sequence[str]) -> Burner:
    """Start one beside a process, in the groups by which these controllers hold it: `cpu` with so many workers, `hold`
    or `fill` with so many bytes (see `safety.burner`). Raises NotReadyError."""
    folders = dict.fromkeys(cgroups.folder_of(pid, controller) for controller in controllers)
    counted = next(iter(folders)) / _COUNTED[cgroups.has_version_2()] if "memory" in controllers else "-"
    joined = [str(folder / "cgroup.procs") for folder in folders]
    head = subprocess.Popen(
        [sys.executable, "-I", "-S", burner.__file__, what, str(amount), str(pid), str(counted), *joined],
        stdin=_lifeline(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={LABEL: run_id, BURNER_LABEL: mark},
        start_new_session=True,
    )
    said = Burner(head, ()).says(BEGINS_WITHIN_S)
    if said[:1] != ["begun"]:
        head.kill()
        why = (head.communicate()[1].strip().splitlines() or ["it said nothing"])[-1]
        raise NotReadyError(f"a burner beside process {pid} did not begin ({why}); run chaosctl as root, beside it")
    return Burner(head, tuple(map(int, said[1:])))


@cache
def _lifeline() -> int:
    """Return the end of a pipe at which this process's end is seen, however it ends: it alone has the other one."""
    reading, _ = os.pipe()
    return reading


def used_s(pids: Sequence[int]) -> float:
    """Return the processor time that these have had (proc(5), /proc/PID/stat, utime and stime). Raises NotReadyError
    where one has ended."""
    try:
        lines = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    except OSError as error:
        raise NotReadyError("a burner has ended") from error
    if any(fields[0] in _GONE for fields in lines):
        raise NotReadyError("a burner has ended")
    return sum(int(fields[11]) + int(fields[12]) for fields in lines) / CLOCK_TICKS_PER_S


def held_bytes(pids: Sequence[int]) -> int:
    """Return the memory that these hold. Raises NotReadyError where one has ended."""
    try:
        files = [file for pid in pids for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError as error:
        raise NotReadyError("a burner has ended") from error
    return sum(_held_by(file) for file in files)


def _held_by(file: Path) -> int:
    """Return what an open file holds of memory; nothing for another one, or one that was closed meanwhile."""
    try:
        return file.stat().st_blocks * BLOCK_BYTES if str(file.readlink()).startswith(f"/memfd:{burner.HELD}") else 0
    except OSError:
        return 0
