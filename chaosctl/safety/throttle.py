"""Holding a block device to so much a second for the control groups that write to it: `blkio.throttle.*` of version 1,
`io.max` of version 2 (blkio-controller.rst, cgroup-v2.rst). Standard library only.

Under version 1 a group is held to what it waits for (fsync, direct I/O, reads that no cache answers); what the kernel
writes back by itself counts for the root group, which therefore is held to the same: the device is nobody else's.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups

_FILE_2 = "io.max"


@dataclass(frozen=True)
class Throttle:
    """At most so many bytes a second, and so many operations, each for reads and for writes; None: no bound."""

    bytes_per_s: int | None
    operations_per_s: int | None


def groups_of(pid: int) -> tuple[str, ...]:
    """Return the folders of the groups by which a process can be held. Raises NotReadyError."""
    folder = cgroups.folder_of(pid, "blkio")
    if cgroups.has_version_2():
        if not (folder / _FILE_2).is_file():
            raise NotReadyError(
                f"{folder} has no {_FILE_2}: the controller `io` is not on there, or it is the root group"
            )
        return (str(folder),)
    root = cgroups.ROOT / "blkio"
    return tuple(dict.fromkeys((str(root), str(folder))))


def hold(groups: Sequence[str], device: str, throttle: Throttle) -> None:
    """Hold these groups to it. Raises NotReadyError, also where the kernel does not do that."""
    for group in groups:
        for path, line in _lines(group, device, throttle):
            try:
                path.write_text(line)
            except OSError as error:
                raise NotReadyError(
                    f"{path} does not take `{line}`: {error.strerror}; see `chaosctl doctor`"
                ) from error


def lift(groups: Sequence[str], device: str) -> None:
    """Hold these groups to nothing; those that are gone need no lifting, nor does a device that is. Raises OSError."""
    for group in groups:
        for path, line in _lines(group, device, Throttle(None, None)):
            try:
                path.write_text(line)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.ENXIO):
                    raise


def held(groups: Sequence[str], device: str) -> tuple[str, ...]:
    """Return what the kernel says that it holds these groups to: a line each. Raises OSError."""
    found = []
    for group in groups:
        for path in {path for path, _ in _lines(group, device, Throttle(None, None))}:
            lines = path.read_text().splitlines() if path.exists() else []
            found += [f"{path.name} {line}" for line in lines if line.split()[0] == device]
    return tuple(sorted(set(found)))


def throttle_lacks() -> str | None:
    """Return why nothing can be held here, None where it can."""
    if cgroups.has_version_2():
        on = (cgroups.ROOT / "cgroup.controllers").read_text().split()
        return None if "io" in on else "the kernel has no controller `io`"
    there = (cgroups.ROOT / "blkio" / "blkio.throttle.write_bps_device").is_file()
    return None if there else "the kernel has no blkio.throttle"


def _lines(group: str, device: str, throttle: Throttle) -> list[tuple[Path, str]]:
    """Return what is written where. A bound of 0 (version 1) or `max` is none."""
    if cgroups.has_version_2():
        most, operations = (one or "max" for one in (throttle.bytes_per_s, throttle.operations_per_s))
        line = f"{device} rbps={most} wbps={most} riops={operations} wiops={operations}"
        return [(Path(group, _FILE_2), line)]
    bounds = {"bps": throttle.bytes_per_s or 0, "iops": throttle.operations_per_s or 0}
    return [
        (Path(group, f"blkio.throttle.{way}_{what}_device"), f"{device} {bound}")
        for way in ("read", "write")
        for what, bound in bounds.items()
    ]
