"""What undoes the faults on what is inside a replica, as data. Idempotent; standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.safety.descriptors import descriptors_of, limit_descriptors
from chaosctl.safety.inside import Inside
from chaosctl.safety.process_clock import shift_clock
from chaosctl.safety.processes import Process


@dataclass(frozen=True)
class DescriptorsUndo:
    """Give the processes inside the replica whose main process is `pid` the limits that they had: `limits` are (process
    id, start ticks, soft limit). What was forked meanwhile gets that of the main process, if it has less."""

    pid: int
    start_ticks: int
    boxed: bool
    limits: Sequence[Sequence[int]]
    do: Literal["descriptors"] = "descriptors"

    def __post_init__(self) -> None:
        object.__setattr__(self, "limits", tuple(map(tuple, self.limits)))  # JSON has lists only


@dataclass(frozen=True)
class ClockUndo:
    """Put right the clocks of the processes inside the replica whose main process is `pid`."""

    pid: int
    start_ticks: int
    boxed: bool
    do: Literal["clock"] = "clock"


InsideAction = DescriptorsUndo | ClockUndo


def play_inside(action: InsideAction) -> tuple[bool, str]:
    """Do it. Return whether it holds now, and a sentence for people. Never raises for what the kernel answers."""
    inside = Inside(action.pid, action.start_ticks, action.boxed)
    try:
        if not inside.members():
            return True, f"process {action.pid} has ended: nothing to undo"
        return True, _put_right(inside) if isinstance(action, ClockUndo) else _put_back(inside, action)
    except NotReadyError as error:
        return False, str(error)


def _put_right(inside: Inside) -> str:
    changed = sum(so for _, so in inside.each(lambda one: shift_clock(one, None)))
    text = f"put right the clocks of {changed} processes" if changed else "has the true time: nothing to undo"
    return f"process {inside.pid}: {text}"


def _put_back(inside: Inside, action: DescriptorsUndo) -> str:
    before = {(pid, start_ticks): limit for pid, start_ticks, limit in action.limits}
    of_main = before.get((action.pid, action.start_ticks), 0)

    def put_back(one: Process) -> bool:
        wanted = before.get((one.pid, one.start_ticks), of_main)
        if descriptors_of(one).limit >= wanted:
            return False
        limit_descriptors(one, wanted)
        return True

    changed = sum(so for _, so in inside.each(put_back))
    text = f"{changed} processes may open files again" if changed else "may open files already: nothing to undo"
    return f"process {action.pid}: {text}"
