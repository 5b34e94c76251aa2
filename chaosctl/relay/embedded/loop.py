"""The event loop: one epoll, a table of handlers, a heap of timers."""

from __future__ import annotations

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable

Handler = Callable[[int], None]

# epoll's own timeout counts whole milliseconds; the last stretch is waited for by select(), which counts microseconds
# and costs a second call.
_COARSE_S = 0.01
_EVENTS_AT_ONCE = 64  # more wait for the next call, so that timers are looked at in between
_LONGEST_WAIT_S = 3600.0  # epoll refuses what does not fit its clock


class Timer:
    """A callback due at `due_ns`. `cancel` forgets the callback, so that nothing it holds outlives it."""

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do nothing when it comes due."""
        self.callback = None


class Loop:
    """Calls `handler(events)` for every ready descriptor, and timers when they are due.

    Handlers must bear a spurious call: a listener's number may be reused within one batch of events.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._closing: list[socket.socket] = []
        self._running = True

    @staticmethod
    def now_ns() -> int:
        """Return monotonic nanoseconds."""
        return time.monotonic_ns()

    def call_at(self, due_ns: int, callback: Callable[[], None]) -> Timer:
        """Call back once, not before `due_ns`."""
        timer = Timer(due_ns, callback)
        heapq.heappush(self._timers, (due_ns, next(self._order), timer))
        return timer

    def call_in(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call back once, in `delay_ms` milliseconds."""
        return self.call_at(self.now_ns() + int(delay_ms * 1e6), callback)

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler` for these events, instead of what was watched before. Raises OSError (EPERM) for a file."""
        if fd in self._handlers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Stop watching; the descriptor may already be unwatched."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close_soon(self, sock: socket.socket) -> None:
        """Close when this batch of events is done: a number reused before would get the events of the old socket."""
        self.unwatch(sock.fileno())
        self._closing.append(sock)

    def stop(self) -> None:
        """Return from `run` after this batch."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        poll, handlers, timers, closing = self._epoll.poll, self._handlers, self._timers, self._closing
        while self._running:
            for fd, events in self._poll_until_due() if timers else poll(-1, _EVENTS_AT_ONCE):
                handler = handlers.get(fd)
                if handler is not None:
                    handler(events)
            if timers:
                self._fire_due()
            if closing:
                self._close_all()

    def _poll_until_due(self) -> list[tuple[int, int]]:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers:
            return self._epoll.poll()
        wait_s = (timers[0][0] - time.monotonic_ns()) / 1e9
        if wait_s > _COARSE_S:
            return self._epoll.poll(min(wait_s - _COARSE_S / 2, _LONGEST_WAIT_S))
        if wait_s > 0:
            select.select((self._epoll,), (), (), wait_s)
        return self._epoll.poll(0)

    def _fire_due(self) -> None:
        timers, now_ns = self._timers, time.monotonic_ns()
        while timers and timers[0][0] <= now_ns:
            callback = heapq.heappop(timers)[2].callback
            if callback is not None:
                callback()

    def _close_all(self) -> None:
        for sock in self._closing:
            sock.close()
        self._closing.clear()
