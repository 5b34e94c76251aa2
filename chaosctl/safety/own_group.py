"""A control group of a run's own, for the processes of one replica that no engine has put into one. Standard library
only: the keeper takes it away."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups

_PREFIX = "chaosctl-"
_PROCS = "cgroup.procs"
# What is forked while its processes are taken out is taken out too, but not for ever.
_ROUNDS = 20
_PAUSE_S = 0.01


@dataclass(frozen=True)
class OwnGroup:
    """The folder of the group, and of that where its processes were before."""

    folder: str
    back: str

    def make(self, limits: Mapping[str, str]) -> None:
        """Make it with these limits, by the names of their files. Raises NotReadyError."""
        try:
            Path(self.folder).mkdir(exist_ok=True)
            for name, value in limits.items():
                Path(self.folder, name).write_text(value)
        except OSError as error:
            raise NotReadyError(
                f"no control group can be made at {self.folder} ({error.strerror}); "
                "run chaosctl as root, where the kernel lets it make some"
            ) from error

    def take(self, pid: int) -> None:
        """Put a process into it, with all of its threads. Raises NotReadyError; one that has ended is left out."""
        try:
            Path(self.folder, _PROCS).write_text(str(pid))
        except ProcessLookupError:
            return
        except OSError as error:
            raise NotReadyError(f"process {pid} cannot be put into {self.folder}: {error.strerror}") from error


@dataclass(frozen=True)
class GroupUndo:
    """Put the processes of a group of ours back to where they were, and remove it."""

    folder: str
    back: str
    do: Literal["group"] = "group"


def is_ours(group: Path) -> bool:
    """Say whether it is one that a run has made."""
    return group.name.startswith(_PREFIX)


def own_group(pid: int, controller: str, name: str) -> OwnGroup:
    """Return the group of that name for a process, which is not made yet: below its present one, so that it is bounded
    by that, too; under version 2 beside it, for there a group has either processes or groups. Raises NotReadyError."""
    now = cgroups.folder_of(pid, controller)
    beside = cgroups.has_version_2() and now != cgroups.ROOT
    return OwnGroup(str((now.parent if beside else now) / f"{_PREFIX}{name}"), str(now))


def lacks(controller: str, file: str) -> str | None:
    """Return why no such group can be made here, with this limit; None if it can: one is, and is removed at once."""
    try:
        tried = own_group(os.getpid(), controller, f"try-{os.getpid()}")
        tried.make({})
    except NotReadyError as error:
        return str(error)
    has_limit = Path(tried.folder, file).is_file()
    Path(tried.folder).rmdir()
    return None if has_limit else f"the kernel has no {file} in a group that is made at {tried.back}"


def remove(action: GroupUndo) -> tuple[bool, str]:
    """Do it. Return whether it is gone, and a sentence for people. Never raises for what the kernel answers."""
    folder = Path(action.folder)
    if not is_ours(folder):
        return False, f"{folder} is no control group of chaosctl's"
    try:
        for _ in range(_ROUNDS):
            if not folder.is_dir():
                return True, f"control group {folder.name} is gone: nothing to undo"
            pids = Path(folder, _PROCS).read_text().split()
            if not pids:
                folder.rmdir()
                return True, f"removed control group {folder.name}"
            for pid in pids:
                _put_back(pid, Path(action.back) if Path(action.back).is_dir() else folder.parent)
            time.sleep(_PAUSE_S)
    except OSError as error:
        return False, f"control group {folder} is left ({error.strerror}); empty it, then `rmdir {folder}`"
    return (
        False,
        f"control group {folder} is left, for processes of it fork all the time; end them, then `rmdir {folder}`",
    )


def _put_back(pid: str, group: Path) -> None:
    try:
        Path(group, _PROCS).write_text(pid)
    except ProcessLookupError:
        return  # it has ended
