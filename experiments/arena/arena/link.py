"""A server-to-server link that resumes after a cut, without loss and without duplicates.

Frames are numbered. The sender keeps a frame until the receiver says that it has *consumed* it, which the receiver
says when the frame's effect is safe (a world: when the tick is in the log). After a cut the client dials again and
both sides resend what the other has not received; what arrives twice is dropped by its number. When the server lost
its memory (it was restarted), the client resends all that was not consumed: what follows from that is idempotent by
action number and by settlement key.

On the wire, a JSON list a line:

    ["hello", name, session, received, first]   client: who, the session it knows or null, what it has, its next number
    ["welcome", session, received]              server: the session it will go on with (another one: a fresh start)
    ["f", n, consumed, body]                    a frame, and up to where it answers the other side's frames
    ["ack", consumed]                           the same without a frame
    ["now", body]                               outside the numbering: lost when the link is cut
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Callable, Sequence

from arena.connection import Connection, Door, Lose, Message, Take
from arena.numbering import Body, Half, LinkError, encode
from arena.wire import Address, Traffic

HANDSHAKE_S = 1.0
BACKOFF_S = (0.05, 0.1, 0.2, 0.25)
# Where there is another server, it may be the one that answers now.
ELSEWHERE_AFTER_S = 1.5


class Peer:
    """One side of a link, over however many connections: what both ends share."""

    def __init__(self, on_frame: Callable[[Peer, int, Body], None], on_now: Callable[[Peer, Body], None]) -> None:
        self.half = Half()
        self._on_frame = on_frame
        self._on_now = on_now
        self._connection: Connection | None = None

    @property
    def up(self) -> bool:
        """Whether there is a connection that both sides agreed on."""
        return self._connection is not None

    @property
    def silent_s(self) -> float:
        """For how long the other side was not heard; without end where there is no connection."""
        return math.inf if self._connection is None else self._connection.silent_s

    @property
    def full(self) -> bool:
        """Whether `send` must wait."""
        return self.half.full

    def send(self, body: Body) -> None:
        """Send a body once and in order, now or after the next connection. Check `full` first."""
        line = self.half.frame(body)
        if self._connection is not None:
            self._connection.write(line)

    def send_now(self, body: Body) -> None:
        """Send a body if there is a connection; it may be lost."""
        if self._connection is not None:
            self._connection.write(encode(["now", body]))

    def answer(self, n: int, body: Body) -> None:
        """Send a body that answers the frames up to `n`: the other side gets both or neither, so that it never asks
        again for what was answered."""
        self.half.consumed = max(self.half.consumed, n)
        self.send(body)

    def consumed(self, n: int) -> None:
        """Let the other side forget its frames up to `n`, which need no answer."""
        if n > self.half.consumed:
            self.half.consumed = n
            if self._connection is not None:
                self._connection.write(encode(["ack", n]))

    def resume(self, connection: Connection, received: int) -> None:
        """Go on over a new connection: resend what the other side lacks, then say what is consumed."""
        self._connection = connection
        for line in self.half.after(received):
            connection.write(line)
        connection.write(encode(["ack", self.half.consumed]))

    def carried_by(self, connection: Connection) -> bool:
        """Whether this is the present connection."""
        return self._connection is connection

    def cut(self) -> None:
        """Drop the present connection, if there is one."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def take(self, message: Message) -> None:
        """Handle one message of the present connection. Raises LinkError."""
        kind, *rest = message
        if kind == "f":
            n, consumed, body = rest
            new = self.half.accept(n)
            self.half.acked(consumed)
            if new:
                self._on_frame(self, n, body)
        elif kind == "ack":
            self.half.acked(rest[0])
        elif kind == "now":
            self._on_now(self, rest[0])
        elif kind != "beat":
            raise LinkError(f"unknown message {kind!r}")


class LinkClient(Peer):
    """The side that dials: the first server that welcomes it. `on_up` is told whether that one does not remember what
    was before.

    Without `redials`, the planted defect `dead-link`, a link that was up and is cut stays down.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        name: str,
        on_frame: Callable[[Peer, int, Body], None],
        on_now: Callable[[Peer, Body], None] = lambda peer, body: None,
        on_up: Callable[[bool], None] = lambda fresh: None,
        redials: bool = True,
    ) -> None:
        super().__init__(on_frame, on_now)
        self.traffic = Traffic()
        self._redials = redials
        self._servers = servers
        self._name = f"{name}-{os.urandom(4).hex()}"
        self._session: str | None = None
        self._on_up = on_up

    async def run(self) -> None:
        """Keep the link up until cancelled."""
        failures = 0
        while True:
            for server in self._servers:
                with contextlib.suppress(OSError, TimeoutError):
                    failures = 0 if await self._connect(server) else failures + 1
                    if failures == 0:
                        break
            if not self._redials and self._session is not None:
                return
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])

    async def _connect(self, server: Address) -> bool:
        """Dial once and stay until the connection is lost. Return whether the link was up."""
        lost = asyncio.Event()
        agreed = asyncio.Event()

        def take(connection: Connection, message: Message) -> None:
            if agreed.is_set():
                self.take(message)
            elif message[0] == "welcome":
                agreed.set()
                self._welcomed(connection, *message[1:])
            elif message[0] != "beat":
                raise LinkError("the first message is a welcome")

        def lose(connection: Connection) -> None:
            if self.carried_by(connection):
                self.cut()
            lost.set()

        loop = asyncio.get_running_loop()
        dialling = loop.create_connection(lambda: Connection(take, lose, self.traffic), *server)
        transport, connection = await asyncio.wait_for(dialling, HANDSHAKE_S)
        if len(self._servers) > 1:
            connection.silence_s = ELSEWHERE_AFTER_S
        try:
            hello = ["hello", self._name, self._session, self.half.received, self.half.first]
            connection.write(encode(hello))
            handshake = loop.call_later(HANDSHAKE_S, _abort_unless, agreed, connection)
            await lost.wait()
            handshake.cancel()
        finally:
            transport.abort()
        return agreed.is_set()

    def _welcomed(self, connection: Connection, session: str, received: int) -> None:
        fresh = session != self._session
        if fresh:
            self._session = session
            self.half.restart()
        self.resume(connection, received)
        self._on_up(fresh)


def _abort_unless(agreed: asyncio.Event, connection: Connection) -> None:
    if not agreed.is_set():
        connection.abort()


class ServedPeer(Peer):
    """The server's side of one client's link."""

    def __init__(
        self,
        name: str,
        session: str,
        received: int,
        on_frame: Callable[[Peer, int, Body], None],
        on_now: Callable[[Peer, Body], None],
    ) -> None:
        super().__init__(on_frame, on_now)
        self.name = name
        self.session = session
        self.half = Half(received)
        self.forgetting: asyncio.TimerHandle | None = None

    def welcome(self, connection: Connection, received: int) -> None:
        """Go on over this connection; the one before it is cut."""
        self.cut()
        if self.forgetting is not None:
            self.forgetting.cancel()
        connection.write(encode(["welcome", self.session, self.half.received]))
        self.resume(connection, received)


class LinkServer:
    """The side that listens; it remembers a client for `forget_after_s` after its connection was lost."""

    def __init__(
        self,
        on_frame: Callable[[Peer, int, Body], None],
        on_now: Callable[[Peer, Body], None] = lambda peer, body: None,
        on_forgotten: Callable[[Peer], None] = lambda peer: None,
        forget_after_s: float = 3.0,
    ) -> None:
        self.peers: dict[str, ServedPeer] = {}
        self.traffic = Traffic()
        self._on_frame = on_frame
        self._on_now = on_now
        self._on_forgotten = on_forgotten
        self._forget_after_s = forget_after_s
        self._boot = os.urandom(4).hex()
        self._sessions = 0

    async def listen(self, at: Address) -> asyncio.Server:
        """Accept clients until the server is closed."""
        door = Door({"hello": self.hello}, self.traffic)
        return await asyncio.get_running_loop().create_server(door.receive, *at)

    def hello(self, connection: Connection, greeting: Message) -> tuple[Take, Lose]:
        """Receive a client: see `connection.Host`."""
        peer = self._greet(connection, *greeting)

        def take(connection: Connection, message: Message) -> None:
            # What an older connection still brings is resent on the present one.
            if peer.carried_by(connection):
                peer.take(message)

        def lose(connection: Connection) -> None:
            if peer.carried_by(connection):
                peer.cut()
                loop = asyncio.get_running_loop()
                peer.forgetting = loop.call_later(self._forget_after_s, self.forget, peer)

        return take, lose

    def _greet(self, connection: Connection, name: str, session: str | None, received: int, first: int) -> ServedPeer:
        peer = self.peers.get(name)
        if peer is None or peer.session != session:
            if peer is not None:
                self.forget(peer)
            self._sessions += 1
            peer = ServedPeer(name, f"{self._boot}-{self._sessions}", first - 1, self._on_frame, self._on_now)
            self.peers[name] = peer
            received = 0
        peer.welcome(connection, received)
        return peer

    def close(self) -> None:
        """Cut all clients, and remember none."""
        for peer in list(self.peers.values()):
            del self.peers[peer.name]
            if peer.forgetting is not None:
                peer.forgetting.cancel()
            peer.cut()

    def forget(self, peer: Peer) -> None:
        """Drop a client's memory; when it comes back it begins afresh."""
        if isinstance(peer, ServedPeer) and self.peers.get(peer.name) is peer:
            del self.peers[peer.name]
            if peer.forgetting is not None:
                peer.forgetting.cancel()
            peer.cut()
            self._on_forgotten(peer)
