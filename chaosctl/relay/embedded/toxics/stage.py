"""What a toxic is to a connection: a stage in its pipe, which passes on what it is given, later, in part, or never."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from chaosctl.relay.embedded.loop import Loop, Timer

NEVER_NS = 1 << 62


class End(Enum):
    """How a stream ends, as it travels along the pipe behind the last data."""

    HALF_CLOSE = "the sender has finished; the other direction goes on"
    CUT = "close both sockets"
    RESET = "reset both sockets"


Item = memoryview | End


class Receiver(Protocol):
    """What comes next in a pipe: a stage or the pipe's own end."""

    def push(self, item: Item) -> None:
        """Take data or the end."""
        ...


class Holder(Protocol):
    """Who counts what a stage keeps, so that reading stops in time."""

    def hold(self, held_bytes: int) -> None:
        """Count so many bytes more, fewer when negative."""
        ...


# What an item costs beyond its bytes, so that many small ones are bounded as well.
ITEM_BYTES = 200


class Stage:
    """Passes everything on: also what a toxic is to a connection that its toxicity spares."""

    def __init__(self, loop: Loop, holder: Holder, attributes: Mapping[str, int], rng: random.Random) -> None:
        self.loop = loop
        self.holder = holder
        self.attributes = attributes
        self.rng = rng
        self.next: Receiver

    def start(self) -> None:
        """Begin to act on the connection."""

    def push(self, item: Item) -> None:
        """Take data or the end, and pass on what this toxic lets through."""
        self.next.push(item)

    def updated(self) -> None:
        """The attributes have changed."""

    def drain(self) -> None:
        """The toxic is removed: pass on all that was held, at once."""

    def stop(self) -> None:
        """The connection is gone: cancel timers, forget data."""


class WaitingStage(Stage):
    """Holds items in order, each until the moment that `due_ns` names when the item has come to the head."""

    def __init__(self, loop: Loop, holder: Holder, attributes: Mapping[str, int], rng: random.Random) -> None:
        super().__init__(loop, holder, attributes, rng)
        self.items: deque[tuple[int, Item]] = deque()  # arrival (ns), data or end
        self._due_ns: int | None = None
        self._timer: Timer | None = None

    def due_ns(self, now_ns: int, arrived_ns: int, item: Item) -> int:
        """Return when the head, or the piece of it that `take` will return, is passed on. Asked once for each."""
        raise NotImplementedError

    def take(self, now_ns: int) -> Item:
        """Remove and return the head."""
        return self.pop(None)

    def pop(self, size: int | None) -> Item:
        """Remove and return the first `size` bytes of the head, all of it when None or when it has no more."""
        arrived_ns, item = self.items[0]
        if size is None or isinstance(item, End) or size >= len(item):
            self.items.popleft()
            self.holder.hold(-_cost(item))
            return item
        self.items[0] = arrived_ns, item[size:]
        self.holder.hold(-size)
        return item[:size]

    def push(self, item: Item) -> None:
        self.items.append((self.loop.now_ns(), item))
        self.holder.hold(_cost(item))
        if len(self.items) == 1:
            self._release()

    def updated(self) -> None:
        self._cancel()
        self._release()

    def drain(self) -> None:
        self._cancel()
        while self.items:
            self.next.push(self.pop(None))

    def stop(self) -> None:
        self._cancel()
        self.items.clear()

    def _cancel(self) -> None:
        self._due_ns = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        self._timer = None
        while self.items:
            now_ns = self.loop.now_ns()
            if self._due_ns is None:
                self._due_ns = self.due_ns(now_ns, *self.items[0])
            if self._due_ns > now_ns:
                if self._due_ns < NEVER_NS:
                    self._timer = self.loop.call_at(self._due_ns, self._release)
                return
            self._due_ns = None
            self.next.push(self.take(now_ns))


def _cost(item: Item) -> int:
    return ITEM_BYTES if isinstance(item, End) else ITEM_BYTES + len(item)
