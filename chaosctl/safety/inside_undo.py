"""What undoes the faults on what is inside a replica, as data. Idempotent; standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.safety.descriptors import descriptors_of, limit_descriptors
from chaosctl.safety.inside import Inside


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


def put_back(action: DescriptorsUndo) -> tuple[bool, str]:
    """Do it. Return whether it holds now, and a sentence for people. Never raises for what the kernel answers."""
    before = {(pid, start_ticks): limit for pid, start_ticks, limit in action.limits}
    of_main = before.get((action.pid, action.start_ticks), 0)
    changed, left = 0, []
    try:
        members = Inside(action.pid, action.start_ticks, action.boxed).members()
    except NotReadyError as error:
        return False, str(error)
    for one in members:
        wanted = before.get((one.pid, one.start_ticks))
        try:
            limit = descriptors_of(one).limit
            if limit < (of_main if wanted is None else wanted):
                limit_descriptors(one, of_main if wanted is None else wanted)
                changed += 1
        except NotReadyError as error:
            if "another user" in str(error):
                left.append(str(error))
    if left:
        return False, "; ".join(left)
    text = f"{changed} processes may open files again" if changed else "may open files already: nothing to undo"
    return True, f"process {action.pid}: {text}"
