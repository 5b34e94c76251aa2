"""A service's output on disk, bounded: what is oldest goes first."""

from __future__ import annotations

import os
from pathlib import Path


class BoundedLog:
    """A file that is renamed to `<file>.1` when it holds half of `limit_bytes`, over the one renamed before.

    So the newest half is always there, and both together never exceed the limit. Writing never raises: a full disk
    must not stop a service. What was lost is said in the log as soon as there is room.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self._half_bytes = max(1, limit_bytes // 2)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        self._lost = 0

    def write(self, data: bytes) -> None:
        """Append output as it came."""
        if self._lost:
            notice = (
                f"\n[chaosctl: {self._lost} bytes of output were lost here, the log could not be written]\n".encode()
            )
            if self._append(notice) < len(notice):
                self._lost += len(data)
                return
            self._lost = 0
        while data:
            if self._size >= self._half_bytes:
                self._rotate()
            part = data[: max(1, self._half_bytes - self._size)]
            if (written := self._append(part)) < len(part):
                self._lost += len(data) - written
                return
            data = data[len(part) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, part: bytes) -> int:
        try:
            written = os.write(self._descriptor, part)
        except OSError:
            return 0
        self._size += written
        return written

    def _rotate(self) -> None:
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            fresh = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError:
            os.ftruncate(self._descriptor, 0)  # keeps the bound, where the folder has become read-only
        else:
            os.close(self._descriptor)
            self._descriptor = fresh
        self._size = 0
