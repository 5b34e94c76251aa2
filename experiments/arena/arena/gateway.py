"""A gateway: clients on one side, one resuming link to the world on the other. It keeps nothing that matters.

    python3 -m arena.gateway --listen 127.0.0.1:7000 --status 127.0.0.1:7001 --world 127.0.0.1:7100 --index 0

To the world: `["line", client, player, text]`, `["here", client, player]` and `["gone", client, player]` as frames,
and `["ping", id]` outside the numbering. From the world: `[[client, text], ...]` as frames, and `["pong", id, tick]`.
A client that disconnects closes its session. The status port serves /metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import deque
from collections.abc import Sequence

from arena import defects
from arena.link import LinkClient, Peer
from arena.numbering import Body
from arena.protocol import HELP, LONGEST_LINE, action_number, hello_name
from arena.releases import add_option, version_line
from arena.wire import Address, LineSplitter, Traffic, address, addresses, json_page, run_service, say, serve_pages

MOST_CLIENTS = 10_000
MOST_WAITING = 256  # lines of one client that are not answered yet
MOST_PINGS = 1_000
PUSH_BUFFER_BYTES = 64 << 10  # a client that reads slower gets no pushes,
MOST_BUFFER_BYTES = 1 << 20  # and is cut in the end
ALONE_AFTER_S = 1.0  # the planted split brain: without a word from the world for so long, it decides itself


class Client(asyncio.Protocol):
    """One client's connection. While its HELLO is not answered, its later lines wait here."""

    def __init__(self, gateway: Gateway, number: int) -> None:
        self.number = number
        self.player: str | None = None
        self.wanted: str | None = None  # the name in the HELLO that is not answered yet
        self._gateway = gateway
        self._lines = LineSplitter(LONGEST_LINE)
        self._held: deque[str] = deque()
        self._unanswered = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the gateway's clients, or be turned away."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._gateway.join(self):
            self.write("ERR the gateway is full")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the session."""
        self._transport = None
        self._gateway.leave(self)

    def data_received(self, data: bytes) -> None:
        """Handle whole lines."""
        self._gateway.traffic.received_bytes += len(data)
        for line in self._lines.feed(data):
            if self._transport is None or self._transport.is_closing():
                return
            text = _text(line)
            if text is None:
                self.write(f"ERR a line is UTF-8 text of at most {LONGEST_LINE} bytes")
            elif text:
                self._handle(text)

    def answer(self, text: str) -> None:
        """Hand on a line of the world: an answer, or a push."""
        if text.startswith("* "):
            if self._transport is not None and self._transport.get_write_buffer_size() < PUSH_BUFFER_BYTES:
                self.write(text)
            return
        self._unanswered -= 1
        if self.wanted is not None:
            self.wanted = None
            if text.startswith("WELCOME "):
                self.player = text.split()[1]
        self.write(text)
        if text.startswith("WELCOME "):
            self.write(version_line("gateway", self._gateway.release))
        while self._held and self.wanted is None:
            self._handle(self._held.popleft())

    def write(self, text: str) -> None:
        """Send a line, unless the client is gone; one that does not read is cut."""
        if self._transport is not None and not self._transport.is_closing():
            line = text.encode() + b"\n"
            self._transport.write(line)
            self._gateway.traffic.sent_bytes += len(line)
            if self._transport.get_write_buffer_size() > MOST_BUFFER_BYTES:
                self._transport.abort()

    def _handle(self, text: str) -> None:
        if text == "PING":
            self._gateway.ping(self)
        elif text == "HELP":
            self.write(HELP)
        elif self._unanswered + len(self._held) >= MOST_WAITING or self._gateway.full:
            self.write("ERR busy")
        elif self.wanted is not None:
            self._held.append(text)
        elif text == "QUIT":
            self.write("BYE")
            if self._transport is not None:
                self._transport.close()
        else:
            self._forward(text)

    def _forward(self, text: str) -> None:
        if self._gateway.alone and self.player is not None and (n := action_number(text)) is not None:
            self.write(f"OK {n} 0")
            return
        if (name := hello_name(text)) is not None:
            if self._gateway.turns_away and self._transport is not None:
                self._transport.abort()
                return
            if self.player is not None:
                self.write(f"ERR this session is {self.player}'s")
                return
            self.wanted = name
            # The world must see the same token when this line is resent, so it is made here.
            text = text if len(text.split()) == 3 else f"HELLO {name} {os.urandom(8).hex()}"
        self._unanswered += 1
        self._gateway.forward(self, text)


class Gateway:
    """All clients of one gateway, and its link."""

    def __init__(
        self, worlds: Sequence[Address], index: int, release: int, planted: frozenset[str] = frozenset()
    ) -> None:
        self.release = release
        first = index % len(worlds)
        worlds = [*worlds[first:], *worlds[:first]]
        redials = defects.DEAD_LINK not in planted
        self.link = LinkClient(worlds, f"gateway-{index}", self._from_world, self._pong, self._link_up, redials)
        self.traffic = Traffic()
        self._planted = planted
        self._index = index
        self._clients: dict[int, Client] = {}
        self._numbers = 0
        self._pings: dict[int, int] = {}
        self._ping_numbers = 0

    @property
    def full(self) -> bool:
        """Whether the world takes no more lines now."""
        return self.link.full

    @property
    def alone(self) -> bool:
        """Whether it decides itself now: never, without the planted split brain."""
        return defects.SPLIT_BRAIN in self._planted and self.link.silent_s > ALONE_AFTER_S

    @property
    def turns_away(self) -> bool:
        """Whether it takes no more players though it could: never, unless that is planted."""
        return defects.UNBALANCED_GATEWAYS in self._planted and self._index % 2 == 1 and self.players >= 3

    @property
    def players(self) -> int:
        """How many of the clients have a session."""
        return sum(client.player is not None for client in self._clients.values())

    def metrics(self) -> dict[str, int]:
        """Return what there is to be watched: clients with a session, and the bytes to and from all clients."""
        return {
            "clients": self.players,
            "sent_bytes": self.traffic.sent_bytes,
            "received_bytes": self.traffic.received_bytes,
        }

    def client(self) -> Client:
        """Make the protocol object of a new connection."""
        self._numbers += 1
        return Client(self, self._numbers)

    def join(self, client: Client) -> bool:
        """Add a client. Return False when there are too many."""
        if len(self._clients) >= MOST_CLIENTS:
            return False
        self._clients[client.number] = client
        return True

    def leave(self, client: Client) -> None:
        """Close the session of a client that is gone."""
        known = self._clients.pop(client.number, None)
        name = client.player or client.wanted
        if known is not None and name is not None and not self.link.full:
            self.link.send(["gone", client.number, name])

    def forward(self, client: Client, text: str) -> None:
        """Send a client's line to the world."""
        self.link.send(["line", client.number, client.player, text])

    def ping(self, client: Client) -> None:
        """Ask the world for a sign of life; it is asked again when the link was cut in between."""
        if self.alone:
            client.write("PONG 0")
            return
        self._ping_numbers += 1
        self._pings[self._ping_numbers] = client.number
        if len(self._pings) > MOST_PINGS:
            del self._pings[next(iter(self._pings))]
        self.link.send_now(["ping", self._ping_numbers])

    def _pong(self, peer: Peer, body: Body) -> None:
        _, number, tick = body
        client = self._clients.get(self._pings.pop(number, 0))
        if client is not None:
            client.write(f"PONG {tick}")

    def _from_world(self, peer: Peer, number: int, body: Body) -> None:
        for client_number, text in body:
            client = self._clients.get(client_number)
            if client is not None:
                client.answer(text)
        peer.consumed(number)

    def _link_up(self, fresh: bool) -> None:
        say(f"the link to the world is up{' afresh' if fresh else ' again'}")
        if fresh:
            for client in self._clients.values():
                if client.player is not None and not self.link.full:
                    self.link.send(["here", client.number, client.player])
        for number in self._pings:
            self.link.send_now(["ping", number])


def _text(line: bytes | None) -> str | None:
    """Return a line as text without spaces around it; None for what no client may send."""
    if line is None:
        return None
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


async def serve(asked: argparse.Namespace, planted: frozenset[str], stop: asyncio.Event) -> None:
    """Run one gateway until `stop` is set."""
    gateway = Gateway(asked.world, asked.index, asked.release, planted)
    servers = [await asyncio.get_running_loop().create_server(gateway.client, *asked.listen)]
    if asked.status is not None:
        servers.append(await serve_pages(asked.status, {"/metrics": lambda: json_page(gateway.metrics())}))
    linking = asyncio.create_task(gateway.link.run())
    say(f"gateway {asked.index}, release {asked.release}, listens on {asked.listen[0]}:{asked.listen[1]}")
    await stop.wait()
    for server in servers:
        server.close()
    linking.cancel()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="arena.gateway", description="A gateway of the arena.")
    parser.add_argument("--listen", type=address, required=True, help="where clients connect: HOST:PORT")
    parser.add_argument("--world", type=addresses, required=True, help="where the world is: HOST:PORT,...")
    parser.add_argument("--status", type=address, help="where its status is served: HOST:PORT")
    parser.add_argument("--index", type=int, default=0, help="which of the gateways this is")
    add_option(parser)
    parser.add_argument("--defect", action="append", default=[], help="a planted defect, see arena/defects.py")
    asked = parser.parse_args(argv)

    async def service(stop: asyncio.Event) -> None:
        await serve(asked, defects.chosen(asked.defect), stop)

    return run_service("gateway", service)


if __name__ == "__main__":
    sys.exit(main())
