"""Files that take no write, not even from who has them open: chattr(1), the flag `i`. Standard library only."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

# ioctl(2): FS_IOC_GETFLAGS, FS_IOC_SETFLAGS and FS_IMMUTABLE_FL of linux/fs.h.
_GET, _SET, _IMMUTABLE = 0x80086601, 0x40086602, 0x10


def set_immutable(path: str, wanted: bool) -> bool:
    """Make a file immutable or mutable. Return False if it was so before. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _set(descriptor, wanted)
    finally:
        os.close(descriptor)


def is_immutable(path: str) -> bool:
    """Say whether it is. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return bool(_flags(descriptor) & _IMMUTABLE)
    finally:
        os.close(descriptor)


def immutability_lacks(folder: str) -> str | None:
    """Return why immutable files would do nothing in a folder, None where they do: tried with a file without a name.

    File systems differ: ext4 looks at each write, others only when a file is opened.
    """
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return f"{folder} takes no file without a name ({error.strerror})"
    try:
        _set(descriptor, True)
    except PermissionError:
        os.close(descriptor)
        return "only root may make a file immutable; run chaosctl as root"
    except OSError as error:
        os.close(descriptor)
        return f"the file system of {folder} has no immutable files ({error.strerror}); use one with ext4"
    try:
        os.write(descriptor, b"x")
    except OSError as error:
        return None if error.errno == errno.EPERM else f"{folder}: {error.strerror}"
    finally:
        with suppress(OSError):
            _set(descriptor, False)
        os.close(descriptor)
    return f"the file system of {folder} lets who has an immutable file open write to it; use one with ext4"


def _set(descriptor: int, wanted: bool) -> bool:
    flags = _flags(descriptor)
    if bool(flags & _IMMUTABLE) is wanted:
        return False
    fcntl.ioctl(descriptor, _SET, (flags ^ _IMMUTABLE).to_bytes(8, "little"))
    return True


def _flags(descriptor: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, _GET, bytes(8))[:4], "little")
