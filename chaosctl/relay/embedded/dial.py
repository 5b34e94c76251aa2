"""Connecting to an upstream without waiting for it: one that is dead, or has no name, delays nobody else."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable

from chaosctl.relay.embedded.address import SocketAddress, look_up, numeric_addresses, split_address
from chaosctl.relay.embedded.loop import Loop

# The kernel's own limit is two minutes, in which reconnecting bots would use up the file descriptors.
DIAL_TIMEOUT_MS = 10_000

OnAddresses = Callable[[list[SocketAddress]], None]
OnDialled = Callable[[socket.socket | None], None]


class Resolver:
    """Looks names up in threads, one for each name in flight; numbers are answered at once."""

    def __init__(self, loop: Loop) -> None:
        self._waiting: dict[tuple[str, int], list[OnAddresses]] = {}
        self._found: deque[tuple[tuple[str, int], list[SocketAddress]]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.watch(self._wake, select.EPOLLIN, self._on_found)

    def resolve(self, address: str, then: OnAddresses) -> None:
        """Call `then` with the addresses of `host:port`, none when there are none; perhaps before this returns."""
        host, port = key = split_address(address)
        if numeric := numeric_addresses(host or "127.0.0.1", port):
            then(numeric)
        elif key in self._waiting:
            self._waiting[key].append(then)
        else:
            self._waiting[key] = [then]
            threading.Thread(target=self._look_up, args=(key,), daemon=True).start()

    def _look_up(self, key: tuple[str, int]) -> None:
        self._found.append((key, look_up(*key)))
        os.eventfd_write(self._wake, 1)

    def _on_found(self, events: int) -> None:
        os.eventfd_read(self._wake)
        while self._found:
            key, addresses = self._found.popleft()
            for then in self._waiting.pop(key, ()):
                then(addresses)


class Dial:
    """Tries the addresses of an upstream in turn, until one is connected, all failed, or the time is up."""

    def __init__(self, loop: Loop, on_done: OnDialled) -> None:
        self._loop = loop
        self._on_done: OnDialled | None = on_done
        self._left: deque[SocketAddress] = deque()
        self._sock: socket.socket | None = None
        self._deadline = loop.call_in(DIAL_TIMEOUT_MS, lambda: self._finish(None))

    def start(self, addresses: list[SocketAddress]) -> None:
        """Begin; does nothing when it was cancelled meanwhile."""
        self._left.extend(addresses)
        self._next()

    def cancel(self) -> None:
        """Forget about it, without calling back."""
        self._on_done = None
        self._finish(None)

    def _next(self) -> None:
        while self._left and self._on_done is not None:
            family, sockaddr = self._left.popleft()
            sock = self._open(family, sockaddr)
            if sock is not None:
                self._sock = sock
                self._loop.watch(sock.fileno(), select.EPOLLOUT, self._on_event)
                return
        self._finish(None)

    def _open(self, family: int, sockaddr: tuple[object, ...]) -> socket.socket | None:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        try:
            sock.connect(sockaddr)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return None
        return sock

    def _on_event(self, events: int) -> None:
        sock = self._sock
        if sock is None or not events & (select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP):
            return
        self._loop.unwatch(sock.fileno())
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            self._finish(sock)
        else:
            self._loop.close_soon(sock)
            self._sock = None
            self._next()

    def _finish(self, connected: socket.socket | None) -> None:
        self._deadline.cancel()
        self._left.clear()
        if connected is None and self._sock is not None:
            self._loop.close_soon(self._sock)
        self._sock = None
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(connected)
