"""A proxy: a listener, its toxics, and the connections that it carries."""

from __future__ import annotations

import os
import select
import socket

from chaosctl.relay.embedded.address import join_address, look_up, numeric_addresses, split_address
from chaosctl.relay.embedded.dial import Dial, Resolver
from chaosctl.relay.embedded.link import Link, Luck, ToxicSetting
from chaosctl.relay.embedded.loop import Loop
from chaosctl.relay.embedded.pipe import Traffic

ACCEPTED_AT_ONCE = 64
BACKLOG = 4096
# How long to wait after the process ran out of file descriptors.
ACCEPT_PAUSE_MS = 100


class ListenError(Exception):
    """The listener cannot be opened. The message reads as Go's does, since clients of Toxiproxy look at it."""


class Proxy:
    """Accepts on `listen`, dials `upstream` for each connection without waiting, and makes a link of the two."""

    def __init__(self, loop: Loop, resolver: Resolver, seed: int, name: str, listen: str, upstream: str) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.toxics: list[ToxicSetting] = []
        self.traffic = {"upstream": Traffic(), "downstream": Traffic()}
        self.connections = 0
        self.refused_dials = 0
        self._loop = loop
        self._resolver = resolver
        self._seed = seed
        self._listener: socket.socket | None = None
        self._links: set[Link] = set()
        self._dials: dict[Dial, socket.socket] = {}

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    def start(self) -> None:
        """Open the listener; a port of 0 becomes a real one. Raises ListenError."""
        self._listener = _listen(self.listen)
        self.listen = join_address(self._listener.getsockname())
        self.enabled = True
        self._resume_accepting()

    def stop(self) -> None:
        """Shut the listener and cut every connection."""
        self.enabled = False
        if self._listener is not None:
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()  # at once: its port may be wanted again in this very call
            self._listener = None
        for dial, client in list(self._dials.items()):
            dial.cancel()
            self._loop.close_soon(client)
        self._dials.clear()
        for link in list(self._links):
            link.close()

    def listens_on(self, listen: str) -> bool:
        """Return whether `listen` means the address that the proxy has. Raises ValueError for none."""
        return listen == self.listen or _canonical(listen) == self.listen

    def add_toxic(self, toxic: ToxicSetting) -> None:
        """Put it at the end of its stream's chain, on every open connection as well."""
        self.toxics.append(toxic)
        for link in list(self._links):
            link.add(toxic)

    def update_toxic(self, toxic: ToxicSetting) -> None:
        """Tell every open connection that the toxic has changed."""
        for link in list(self._links):
            link.update(toxic)

    def remove_toxic(self, toxic: ToxicSetting) -> None:
        """Take it out, on every open connection as well."""
        self.toxics.remove(toxic)
        for link in list(self._links):
            link.remove(toxic)

    def _resume_accepting(self) -> None:
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), select.EPOLLIN, self._on_acceptable)

    def _on_acceptable(self, events: int) -> None:
        listener = self._listener
        if listener is None:
            return
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                client, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.unwatch(listener.fileno())
                self._loop.call_in(ACCEPT_PAUSE_MS, self._resume_accepting)
                return
            client.setblocking(False)
            self._dial(client)

    def _dial(self, client: socket.socket) -> None:
        self.connections += 1
        number = self.connections

        def on_done(upstream: socket.socket | None) -> None:
            del self._dials[dial]
            if upstream is None:
                self.refused_dials += 1
                self._loop.close_soon(client)
            else:
                self._carry(number, client, upstream)

        dial = Dial(self._loop, on_done)
        self._dials[dial] = client
        self._resolver.resolve(self.upstream, dial.start)

    def _carry(self, number: int, client: socket.socket, upstream: socket.socket) -> None:
        link = Link(self._loop, client, upstream, self.traffic, Luck(self._seed, self.name, number))
        self._links.add(link)
        link.on_closed = lambda: self._links.discard(link)
        link.start(self.toxics)


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    found = numeric_addresses(host or everywhere, port) or look_up(host, port)
    if not found:
        raise ListenError(f"listen tcp: lookup {host}: no such host")
    family, sockaddr = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(host)))
        listener.bind(sockaddr)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno or 0).lower()
        raise ListenError(f"listen tcp {address}: bind: {reason}") from error
    return listener


def _canonical(address: str) -> str:
    host, port = split_address(address)
    found = numeric_addresses(host, port) or look_up(host, port) if host else []
    return join_address(found[0][1]) if found else join_address((host or "::", port))
