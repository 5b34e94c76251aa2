"""Why a run ends early, and how a signal becomes such a reason."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from types import FrameType

from chaosctl.errors import ChaosctlError


@dataclass(frozen=True)
class Reason:
    """`ended` is the word of the `run_ended` event: interrupted, stopped, failed, crashed, error."""

    ended: str
    text: str


class EndedEarlyError(ChaosctlError):
    """Unwinds the stages of a run to its teardown."""


class Stop:
    """Two events that the waits of the runner watch, with the first reason for either: `load_over` ends the faults and
    the load, and what bots are owed is still read back; `event` ends everything."""

    def __init__(self) -> None:
        self.load_over = threading.Event()
        self.event = threading.Event()
        self.reason: Reason | None = None
        self._lock = threading.Lock()

    def end_load(self, ended: str, text: str) -> bool:
        """Ask for an early end of the load. Return whether nobody had asked for any end before."""
        with self._lock:
            is_first = self.reason is None
            if is_first:
                self.reason = Reason(ended, text)
        self.load_over.set()
        return is_first

    def request(self, ended: str, text: str) -> None:
        """Ask for the end of the run; the first reason counts."""
        self.end_load(ended, text)
        self.event.set()

    def check(self) -> None:
        """Raise EndedEarlyError if the end was asked for."""
        if self.event.is_set():
            raise EndedEarlyError(self.reason.text if self.reason else "stopped")


@contextmanager
def signals_stop(stop: Stop, on_first: Callable[[str], None], on_again: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP ask for the end; a second one calls `on_again` each time it comes.

    A thread of its own does what they ask: a handler interrupts the main thread anywhere, also in the middle of
    holding the very lock that is needed (even `Event.set` has one), and would wait for it for ever.
    """
    came: SimpleQueue[str | None] = SimpleQueue()  # its `put` may be called from a handler

    def attend() -> None:
        while (name := came.get()) is not None:
            if stop.event.is_set():
                on_again()
            else:
                stop.request("interrupted", name)
                on_first(name)

    attending = threading.Thread(target=attend, name="signals", daemon=True)
    attending.start()

    def handle(number: int, _frame: FrameType | None) -> None:
        came.put(signal.Signals(number).name)

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in watched}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(None)
        attending.join()
