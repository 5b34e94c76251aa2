"""The one clock of a run: monotonic nanoseconds, and waiting for a moment.

Effects take a `Clock`, so that tests drive the runner with a fake one.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

# The kernel wakes a sleeper late by its timer slack and by scheduling; the last stretch is spent awake.
SPIN_NS = 300_000


class Clock(Protocol):
    """Where the time comes from."""

    def now_ns(self) -> int:
        """Return monotonic nanoseconds; only differences mean anything."""
        ...

    def sleep_until(self, due_ns: int, stop: threading.Event | None = None) -> bool:
        """Wait until `due_ns` or until `stop` is set. Return True when the moment came, False when stopped."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC, which every process of one machine shares."""

    def now_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def sleep_until(self, due_ns: int, stop: threading.Event | None = None) -> bool:
        """Sleep coarsely, then spin for the last 0.3 ms, so that the wake-up is late by microseconds only."""
        while (left_ns := due_ns - time.monotonic_ns()) > SPIN_NS:
            pause_s = (left_ns - SPIN_NS) / 1e9
            if stop is None:
                time.sleep(pause_s)
            elif stop.wait(pause_s):
                return False
        while time.monotonic_ns() < due_ns:
            pass
        return not (stop is not None and stop.is_set())


class FakeClock:
    """A clock that moves only when told to, or when somebody sleeps on it."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the time set so far."""
        return self._now_ns

    def advance(self, by_ns: int) -> None:
        """Move the time on by `by_ns`."""
        self._now_ns += by_ns

    def sleep_until(self, due_ns: int, stop: threading.Event | None = None) -> bool:
        """Jump to `due_ns` at once, unless stopped."""
        if stop is not None and stop.is_set():
            return False
        self._now_ns = max(self._now_ns, due_ns)
        return True
