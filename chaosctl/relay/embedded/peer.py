"""One of the two sockets of a connection, and what the loop watches on it."""

from __future__ import annotations

import select
import socket
import struct
from typing import Protocol

from chaosctl.relay.embedded.loop import Handler, Loop

IN, OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLERR | select.EPOLLHUP
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for 0 s


class Outgoing(Protocol):
    """The pipe that a socket feeds."""

    @property
    def pump(self) -> Handler:
        """What reads from the socket once; it does not look at the events."""
        ...


class Incoming(Protocol):
    """The pipe that ends at a socket."""

    def flush(self) -> None:
        """Write to the socket what could not be written before."""
        ...


class Peer:
    """A socket with the pipe that it feeds (`outgoing`) and the one that feeds it (`incoming`)."""

    __slots__ = ("_loop", "_mask", "fd", "incoming", "outgoing", "sock")

    outgoing: Outgoing
    incoming: Incoming

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.fd = sock.fileno()
        self._mask = 0
        self._loop = loop

    def want(self, events: int) -> None:
        """Watch for these events as well."""
        if self._mask | events != self._mask:
            self._mask |= events
            self.rewatch()

    def unwant(self, events: int) -> None:
        """Watch for these events no more. A socket that nothing is wanted of is not watched at all, since the kernel
        reports a hang-up unasked, over and over."""
        if self._mask & events:
            self._mask &= ~events
            self.rewatch()

    def rewatch(self) -> None:
        """Tell the loop what is wanted now. Where that is only reading, whatever happens is seen by reading, so the
        loop calls the pump itself: this is the path of nearly every event."""
        if self._mask == IN:
            self._loop.watch(self.fd, IN, self.outgoing.pump)
        elif self._mask:
            self._loop.watch(self.fd, self._mask, self._on_event)
        else:
            self._loop.unwatch(self.fd)

    def _on_event(self, events: int) -> None:
        """Read, write, or both; a hang-up shows in whichever was wanted."""
        if self._mask & OUT and events & (OUT | _GONE):
            self.incoming.flush()
        if self._mask & IN and events & (IN | _GONE):
            self.outgoing.pump(events)

    def close(self, *, reset: bool) -> None:
        """Close the socket: with FIN, or with RST and without what is still unsent."""
        self._mask = 0
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._loop.close_soon(self.sock)
