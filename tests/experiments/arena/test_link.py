from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import connection, link
from arena.connection import Door
from arena.link import LinkClient, LinkServer, Peer
from arena.numbering import MOST_UNACKED, Half, LinkError

BOUND_S = 10.0


class CuttingRelay:
    """Carries connections, and cuts each after so many bytes in either direction, in mid-message."""

    def __init__(self, upstream: tuple[str, int], cuts: list[int]) -> None:
        self.upstream = upstream
        self.cuts = cuts
        self.silent = False
        self.connections = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = [self.cuts[self.connections] if self.connections < len(self.cuts) else 1 << 40]
        self.connections += 1
        to_reader, to_writer = await asyncio.open_connection(*self.upstream)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while left[0] > 0 and (data := await source.read(min(left[0], 4096))):
                left[0] -= len(data)
                if not self.silent:
                    sink.write(data)

        pumps = [asyncio.ensure_future(pump(reader, to_writer)), asyncio.ensure_future(pump(to_reader, writer))]
        with contextlib.suppress(OSError):
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (to_writer, writer):
            end.close()
        for one in pumps:
            one.cancel()


class Pair:
    """A client and a server of a link with a relay in between; both keep what they got, the server echoes."""

    def __init__(self) -> None:
        self.server_got: list[Any] = []
        self.client_got: list[Any] = []
        self.fresh: list[bool] = []
        self.answering = True

    def serve(self, peer: Peer, number: int, body: Any) -> None:
        self.server_got.append(body)
        if self.answering:
            peer.send(["echo", body])
            peer.consumed(number)

    def hear(self, peer: Peer, number: int, body: Any) -> None:
        self.client_got.append(body[1])
        peer.consumed(number)


@contextlib.asynccontextmanager
async def linked(pair: Pair, cuts: list[int]) -> AsyncIterator[tuple[LinkClient, LinkServer, CuttingRelay]]:
    server = LinkServer(pair.serve)
    listening = await server.listen(("127.0.0.1", 0))
    relay = CuttingRelay(listening.sockets[0].getsockname(), cuts)
    relaying = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
    client = LinkClient([relaying.sockets[0].getsockname()], "test", pair.hear, on_up=pair.fresh.append)
    running = asyncio.ensure_future(client.run())
    try:
        yield client, server, relay
    finally:
        running.cancel()
        relaying.close()
        listening.close()
        for peer in list(server.peers.values()):
            server.forget(peer)


async def until(true: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not true():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(wait(), BOUND_S)


def run(scenario: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BACKOFF_S", (0.001,))
    asyncio.run(asyncio.wait_for(scenario(), 2 * BOUND_S))


def test_nothing_is_lost_or_doubled_when_it_is_cut_at_any_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [f"m{n}" for n in range(30)]

    async def scenario() -> None:
        pair = Pair()
        # A handshake takes about 130 bytes; each connection is cut a byte later than the one before.
        async with linked(pair, list(range(100, 400))) as (client, _, relay):
            for body in bodies:
                client.send(body)
                await asyncio.sleep(0.001)
            await until(lambda: len(pair.client_got) >= len(bodies) and client.half.first > client.half.sent)
            assert pair.server_got == pair.client_got == bodies
            assert relay.connections > 20
            assert pair.fresh.count(True) >= 1

    run(scenario, monkeypatch)


def test_a_server_without_memory_is_sent_what_was_not_consumed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        pair = Pair()
        async with linked(pair, []) as (client, server, _):
            client.send("a")
            await until(lambda: pair.client_got == ["a"] and client.half.first == 2)
            pair.answering = False
            client.send("b")
            await until(lambda: pair.server_got == ["a", "b"])
            pair.answering = True
            for peer in list(server.peers.values()):
                server.forget(peer)
            await until(lambda: pair.client_got == ["a", "b"])
            assert pair.server_got == ["a", "b", "b"]  # the one above deals with it: by number, by key
            assert pair.fresh == [True, True]

    run(scenario, monkeypatch)


def test_silence_ends_a_connection_and_the_next_one_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 0.3)
    monkeypatch.setattr(link, "HANDSHAKE_S", 0.3)
    monkeypatch.setattr(connection, "BEAT_S", 0.05)

    async def scenario() -> None:
        pair = Pair()
        async with linked(pair, []) as (client, _, relay):
            client.send("a")
            await until(lambda: pair.client_got == ["a"])
            relay.silent = True
            client.send("b")
            await until(lambda: relay.connections >= 2)
            relay.silent = False
            await until(lambda: pair.client_got == ["a", "b"])
            assert pair.server_got == ["a", "b"]

    run(scenario, monkeypatch)


def test_what_is_outside_the_numbering_is_dropped_while_it_is_down() -> None:
    peer = Peer(lambda peer, number, body: None, lambda peer, body: None)
    peer.send_now("lost")
    assert peer.half.sent == 0
    assert not peer.up


def test_it_says_when_it_is_full() -> None:
    half = Half()
    for n in range(MOST_UNACKED):
        half.frame(n)
    assert half.full
    half.acked(1)
    assert not half.full


@pytest.mark.parametrize("wrong", [lambda half: half.accept(5), lambda half: half.acked(2)])
def test_a_peer_that_breaks_the_numbering_is_an_error(wrong: Callable[[Half], Any]) -> None:
    half = Half()
    half.frame("one")
    with pytest.raises(LinkError):
        wrong(half)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(["send", "deliver", "cut"]), max_size=60), st.data())
def test_two_halves_agree_whatever_gets_through(script: list[str], data: st.DataObject) -> None:
    """A model of the link without sockets: a cut loses any suffix of what is on the way."""
    sender, receiver = Half(), Half()
    on_the_way: list[int] = []
    got: list[int] = []
    for step in script:
        if step == "send":
            sender.frame("body")
            on_the_way.append(sender.sent)
        elif step == "deliver" and on_the_way:
            n = on_the_way.pop(0)
            if receiver.accept(n):
                got.append(n)
            sender.acked(data.draw(st.integers(0, receiver.received)))
        elif step == "cut":
            known = data.draw(st.integers(0, receiver.received))  # what the receiver says may be old
            first = sender.first
            on_the_way = [n for n in range(first, sender.sent + 1) if n > known]
            assert len(on_the_way) == len(sender.after(known))
    assert got == list(range(1, len(got) + 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b'["hello"]\n', b'["f",1,2]\n', b"[]\n", b"{}\n"]))))
def test_nonsense_on_the_wire_never_raises(chunks: list[bytes]) -> None:
    async def scenario() -> None:
        pair = Pair()
        server = LinkServer(pair.serve)
        connection = Door({"hello": server.hello}, server.traffic).receive()
        for chunk in chunks:
            connection.data_received(chunk)
        for peer in list(server.peers.values()):
            server.forget(peer)

    asyncio.run(scenario())
