"""A TCP connection between two services, and the door at which they are received.

On the wire, a JSON list a line; the first word says what it is. Here only these are known:

    ["beat"]                    nothing to say
    ["ping"] ["pong"]           instead of a greeting: whether anybody answers here
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from arena.numbering import LinkError, encode
from arena.wire import LineSplitter, Traffic

BEAT_S = 0.5
# A stall of a few seconds is ridden out: TCP delivers what waited, sooner than a new connection would.
SILENCE_S = 5.0
MOST_BUFFERED_BYTES = 8 << 20
LONGEST_FRAME = 4 << 20

Message = list[Any]
Take = Callable[["Connection", Message], None]
Lose = Callable[["Connection"], None]
# Receives who greets like this, and returns who takes the connection's messages from then on, and its end.
Host = Callable[["Connection", Message], tuple[Take, Lose]]


class Connection(asyncio.Protocol):
    """One TCP connection: messages in and out, beats, and an end when the peer is silent for `silence_s`."""

    def __init__(
        self,
        on_message: Take,
        on_lost: Lose,
        traffic: Traffic,
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._traffic = traffic
        self._lines = LineSplitter(LONGEST_FRAME)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._wrote_at = self._loop.time()
        self.silence_s = SILENCE_S
        self._greeted = False
        self._beating: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to beat."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the cut."""
        if self._beating is not None:
            self._beating.cancel()
        self._transport = None
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Hand on whole messages; a peer that talks nonsense is cut."""
        self._heard_at = self._loop.time()
        self._traffic.received_bytes += len(data)
        try:
            for line in self._lines.feed(data):
                message = json.loads(line or b"")
                if not isinstance(message, list) or not message:
                    raise LinkError("a message is a list")
                self._on_message(self, message)
                self._greeted = True
        except (LinkError, ValueError, TypeError, RecursionError):
            self.abort()

    def write(self, data: bytes) -> None:
        """Send bytes; on a closed connection they are dropped, and on one that takes nothing it is cut."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        self._traffic.sent_bytes += len(data)
        self._wrote_at = self._loop.time()
        if self._transport.get_write_buffer_size() > MOST_BUFFERED_BYTES:
            self.abort()

    @property
    def silent_s(self) -> float:
        """For how long nothing was heard."""
        return self._loop.time() - self._heard_at

    def abort(self) -> None:
        """Cut it."""
        if self._transport is not None:
            self._transport.abort()

    def _beat(self) -> None:
        now = self._loop.time()
        if now - self._heard_at > self.silence_s:
            self.abort()
            return
        # Who only connects, to see whether this is here, is sent nothing.
        if self._greeted and now - self._wrote_at >= BEAT_S:
            self.write(b'["beat"]\n')
        self._beating = self._loop.call_later(BEAT_S / 2, self._beat)


class Door:
    """Receives connections: the first word of each is looked up in `hosts`, who take it from there."""

    def __init__(self, hosts: Mapping[str, Host], traffic: Traffic) -> None:
        self._hosts = hosts
        self._traffic = traffic

    def receive(self) -> Connection:
        """Make the protocol object of a new connection."""
        host: list[tuple[Take, Lose]] = []

        def take(connection: Connection, message: Message) -> None:
            kind, *greeting = message
            if host:
                host[0][0](connection, message)
            elif kind in self._hosts:
                host.append(self._hosts[kind](connection, greeting))
            elif kind == "ping":
                connection.write(encode(["pong"]))
            elif kind != "beat":
                raise LinkError(f"nobody greets with {kind!r}")

        def lose(connection: Connection) -> None:
            if host:
                host[0][1](connection)

        return Connection(take, lose, self._traffic)
