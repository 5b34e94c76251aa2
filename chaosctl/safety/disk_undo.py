"""What undoes disks and the faults on them, as data. Each is idempotent, and finds out by itself what is left to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.safety import throttle
from chaosctl.safety.disk import Disk

Outcome = tuple[bool, str]
"""Whether its effect holds now, and a sentence for people."""


@dataclass(frozen=True)
class DiskUndo:
    """Take a disk away; what is on it stays behind in its folder."""

    image: str
    folder: str
    do: Literal["disk"] = "disk"


@dataclass(frozen=True)
class FillerUndo:
    """Remove the file that fills a disk."""

    path: str
    do: Literal["filler"] = "filler"


@dataclass(frozen=True)
class ThrottleUndo:
    """Hold control groups (their folders) to nothing any more on a block device (`7:0`)."""

    groups: tuple[str, ...]
    device: str
    do: Literal["throttle"] = "throttle"

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))  # JSON has lists only


@dataclass(frozen=True)
class WritableUndo:
    """Let the file of a disk take writes again."""

    image: str
    do: Literal["writable"] = "writable"


DiskAction = DiskUndo | FillerUndo | ThrottleUndo | WritableUndo


def play_on_disk(action: DiskAction) -> Outcome:
    """Do it, or find that nothing is left to do. Never raises for what the system answers."""
    if isinstance(action, DiskUndo):
        folder = action.folder
        done = (f"unmounted the disk at {folder}, what was on it is there", f"no disk is at {folder}: nothing to undo")
        mend = f"the disk itself goes with `umount --lazy {folder}`, then `rm {action.image}`"
        return _outcome(Disk(action.image, folder).take_away, *done, f"the disk at {folder}", mend)
    if isinstance(action, FillerUndo):
        done = (f"removed {action.path}", f"{action.path} is gone: nothing to undo")
        return _outcome(lambda: _remove(action.path), *done, action.path, f"delete it with `rm {action.path}`")
    if isinstance(action, WritableUndo):
        disk = Disk(action.image, "")
        done = (f"{action.image} takes writes again", f"{action.image} takes writes: nothing to undo")
        return _outcome(disk.take_writes, *done, action.image, f"do it with `chattr -i {action.image}`")

    def lift() -> bool:
        throttle.lift(action.groups, action.device)
        return True

    what = f"the block device {action.device}"
    return _outcome(lift, f"{what} is not slowed any more", "", what, f"write `{action.device} 0` there")


def _outcome(undo: Callable[[], bool], did: str, nothing: str, what: str, mend: str) -> Outcome:
    try:
        return True, did if undo() else nothing
    except NotReadyError as error:
        return False, f"{what}: {error}; {mend}"
    except OSError as error:
        return False, f"{what}: {error.filename or 'the system'} says {error.strerror}; {mend}"


def _remove(path: str) -> bool:
    try:
        Path(path).unlink()
    except FileNotFoundError:
        return False
    return True
