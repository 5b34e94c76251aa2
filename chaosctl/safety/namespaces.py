"""Entering a container's network namespace, for a moment and in a thread of its own. Standard library only."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from chaosctl.errors import NotReadyError

Made = TypeVar("Made")

CLONE_NEWNET = 0x40000000


def within(namespace: str, make: Callable[[], Made]) -> Made:
    """Return what a thread makes that has entered a network namespace (setns(2)). Raises OSError, NotReadyError."""
    made: list[Made] = []
    failed: list[OSError] = []

    def enter() -> None:
        try:
            handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            finally:
                os.close(handle)
            made.append(make())
        except OSError as error:
            failed.append(error)

    # The thread ends with it: no other work is ever done there.
    thread = threading.Thread(target=enter, name="network namespace")
    thread.start()
    thread.join()
    if not made:
        why = failed[0].strerror if failed else "nothing was made"
        raise NotReadyError(f"a container's network namespace cannot be entered ({why}); run chaosctl as root")
    return made[0]
