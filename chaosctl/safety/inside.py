"""The processes inside a replica: what its main process started, or what shares its container. They are found anew each
time, for they come and go. Standard library only: the keeper heals with it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TypeVar

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups
from chaosctl.safety.burners import Burner, begin
from chaosctl.safety.descriptors import Descriptors, descriptors_of, limit_descriptors
from chaosctl.safety.own_group import OwnGroup, own_group
from chaosctl.safety.process_clock import Shift, shift_clock
from chaosctl.safety.processes import PROC, Process, descendants, look, running, send_signal, session_members, shown

# Any would do: an engine puts a container into one group of each controller.
_CONTROLLER = "freezer"
# What is forked while its processes are gone through is gone through too, but not for ever.
_ROUNDS = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Inside:
    """What is inside the replica whose main process is `pid`, started at `start_ticks`; `boxed`: in a container."""

    pid: int
    start_ticks: int
    boxed: bool

    def members(self) -> tuple[Process, ...]:
        """Return its processes, the oldest first; none once it has ended. Raises NotReadyError where they cannot be
        told from others: the control group of its container is not in sight."""
        found = _boxed(self) if self.boxed else _of_session(self)
        return tuple(sorted({one.pid: one for one in found}.values(), key=lambda one: (one.start_ticks, one.pid)))

    def named(self, name: str) -> tuple[Process, ...]:
        """Return those whose name or program this is (`nginx`); if there are none, those whose command line contains
        it (`worker.py --queue mail`). The oldest first. Raises NotReadyError."""
        lines = {one: command_line(one.pid) for one in self.members()}
        exactly = tuple(one for one, line in lines.items() if name in (one.command, PurePath(line[0]).name))
        return exactly or tuple(one for one, line in lines.items() if name in " ".join(line))

    def each(self, do: Callable[[Process], T]) -> list[tuple[Process, T]]:
        """Call `do` for every process, also those that are forked meanwhile; return what it returned for each. What
        ends meanwhile is left out. Raises NotReadyError, also where nothing is left."""
        seen: dict[tuple[int, int], tuple[Process, T] | None] = {}
        for _ in range(_ROUNDS):
            new = [one for one in self.members() if (one.pid, one.start_ticks) not in seen]
            if not new:
                break
            for one in new:
                try:
                    seen[one.pid, one.start_ticks] = one, do(one)
                except NotReadyError:
                    if running(one.pid, one.start_ticks) is not None:
                        raise
                    seen[one.pid, one.start_ticks] = None
        if not (found := [one for one in seen.values() if one is not None]):
            raise NotReadyError(f"process {self.pid} has just ended")
        return found

    def signal(self, process: Process, name: str) -> None:
        """Send a signal to one of them. Raises NotReadyError when it has ended, or belongs to another user."""
        try:
            sent = send_signal(process.pid, process.start_ticks, signal.Signals[name])
        except PermissionError as error:
            raise NotReadyError(f"{shown(process)} belongs to another user; run chaosctl as root") from error
        if not sent:
            raise NotReadyError(f"{shown(process)} has just ended")

    def descriptors(self, process: Process) -> Descriptors:
        """Return the file descriptors of one of them. Raises NotReadyError likewise."""
        return descriptors_of(process)

    def limit_descriptors(self, process: Process, limit: int) -> None:
        """Set the soft limit of one of them. Raises NotReadyError likewise."""
        limit_descriptors(process, limit)

    def shift_clock(self, process: Process, shift: Shift) -> None:
        """Shift the clock of one of them. Raises NotReadyError likewise."""
        shift_clock(process, shift)

    def burn(self, mark: str, run_id: str, what: str, amount: int, controllers: Sequence[str]) -> Burner:
        """Begin to burn beside the main process (see `safety.burners`). Raises NotReadyError."""
        return begin(mark, run_id, self.pid, what, amount, controllers)

    def group_says(self, controller: str, of_version_1: str, of_version_2: str) -> str:
        """Return what a file of its main process's control group says (see `cgroups.read`). Raises NotReadyError."""
        return cgroups.read(self.pid, controller, of_version_1, of_version_2)

    def own_group(self, controller: str, name: str) -> OwnGroup:
        """Return a control group for them, which is not made yet. Raises NotReadyError."""
        return own_group(self.pid, controller, name)

    def regroup(self, group: OwnGroup, limits: Mapping[str, str]) -> None:
        """Make the group, with these limits by the names of their files, and put all of them into it. Raises
        NotReadyError."""
        group.make(limits)
        self.each(lambda one: group.take(one.pid))


def command_line(pid: int) -> Sequence[str]:
    """Return the words that a process was started with, or has put in their place; one empty word for none."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
    except OSError:
        return [""]


def _of_session(inside: Inside) -> tuple[Process, ...]:
    # What its children made sessions of their own for belongs to it, too.
    main = running(inside.pid, inside.start_ticks)
    below = (main, *descendants(inside.pid)) if main else ()
    return (*session_members(inside.pid, inside.start_ticks), *below)


def _boxed(inside: Inside) -> tuple[Process, ...]:
    if running(inside.pid, inside.start_ticks) is None:
        return ()  # with its main process the kernel ends all others of a container
    folder = cgroups.folder_of(inside.pid, _CONTROLLER)
    if folder in (cgroups.ROOT, cgroups.ROOT / _CONTROLLER):
        raise NotReadyError(f"process {inside.pid} is in no control group of its own, so what is inside is not known")
    pids = {int(pid) for group in folder.rglob("cgroup.procs") for pid in group.read_text().split()}
    return tuple(one for pid in pids if (one := look(pid)) is not None and not one.ended)
