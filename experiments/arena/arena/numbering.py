"""The numbering behind a link: which frames are kept to be sent again, and which ones are new. Without sockets."""

from __future__ import annotations

from collections import deque
from typing import Any

from arena.table import canonical

MOST_UNACKED = 10_000

Body = Any


class LinkError(Exception):
    """The peer does not keep to the protocol; the connection is cut."""


class Half:
    """One side's memory of a link: what it sent that is not consumed yet, and what it received."""

    def __init__(self, received: int = 0) -> None:
        self.sent = 0
        self.received = received
        self.consumed = received
        self._unacked: deque[tuple[int, int, bytes]] = deque()  # number, consumed then, body

    @property
    def first(self) -> int:
        """The number of the oldest frame that is kept, or the next one."""
        return self._unacked[0][0] if self._unacked else self.sent + 1

    @property
    def full(self) -> bool:
        """Whether nothing more may be sent before something is acknowledged."""
        return len(self._unacked) >= MOST_UNACKED

    def frame(self, body: Body) -> bytes:
        """Number a body, keep it, and return its line."""
        self.sent += 1
        self._unacked.append((self.sent, self.consumed, canonical(body)))
        return _line(*self._unacked[-1])

    def accept(self, n: int) -> bool:
        """Return whether frame `n` is new. Raises LinkError when one before it is missing."""
        if n > self.received + 1:
            raise LinkError(f"frame {n} came after frame {self.received}")
        new = n == self.received + 1
        self.received = max(self.received, n)
        return new

    def acked(self, upto: int) -> None:
        """Forget what the other side has consumed. Raises LinkError for what was never sent."""
        if upto > self.sent:
            raise LinkError(f"frame {upto} was acknowledged, but only {self.sent} were sent")
        while self._unacked and self._unacked[0][0] <= upto:
            self._unacked.popleft()

    def after(self, received: int) -> list[bytes]:
        """Return the kept lines that the other side has not received."""
        return [_line(*frame) for frame in self._unacked if frame[0] > received]

    def restart(self) -> None:
        """Begin with a server that has no memory: its frames are counted from 1 again, and none is consumed."""
        self.received = self.consumed = 0
        self._unacked = deque((n, 0, body) for n, _, body in self._unacked)


def _line(n: int, consumed: int, body: bytes) -> bytes:
    return b'["f",%d,%d,%b]\n' % (n, consumed, body)


def encode(message: list[Any]) -> bytes:
    """Return a message as a line."""
    return canonical(message) + b"\n"
