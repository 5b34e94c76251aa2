"""At most one run at a time for one target that is not ours: a lock for each of its addresses.

A lock is `flock` on a file in the state folder, so the kernel releases it however its owner ends. The file names the
run that holds it, or held it last.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety.runs import abandoned, state_folder

_NAME_BYTES = 200


class TargetLocks:
    """Holds the addresses of a target until `release`, or until this process ends."""

    def __init__(self, addresses: Iterable[str], run_id: str) -> None:
        """Lock them all, in an order that is the same for everybody. Raises NotReadyError, naming the run that has one
        of them, or that had it and was not cleaned up; then none is held."""
        self._descriptors: list[int] = []
        try:
            for address in sorted(set(addresses)):
                self._descriptors.append(_locked(address, run_id))
        except NotReadyError:
            self.release()
            raise

    def release(self) -> None:
        """Let others have them. Idempotent."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []


def _locked(address: str, run_id: str) -> int:
    path = _path(address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise NotReadyError(
            f"the lock {path} of {address} cannot be made ({error.strerror}); "
            "set XDG_STATE_HOME to a folder that you may write"
        ) from error
    try:
        _take(descriptor, address)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, run_id.encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise NotReadyError(f"the lock {path} of {address} cannot be taken ({error.strerror})") from error
    except NotReadyError:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int, address: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise NotReadyError(
            f"run {_holder(descriptor)} is acting on {address}, and two would disturb each other; wait for its end"
        ) from error
    before = _holder(descriptor)
    if before and before in {run.run_id for run in abandoned()}:
        raise NotReadyError(f"run {before} acted on {address} and is not cleaned up; undo that with `chaosctl restore`")


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, _NAME_BYTES, 0).decode(errors="replace").strip()


def _path(address: str) -> Path:
    return state_folder() / "targets" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
