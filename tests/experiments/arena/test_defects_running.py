"""Planted defects of how the services run: each misbehaves in its way, and nothing does without one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from arena import defects, link, outages
from arena.gateway import Client, Gateway
from arena.link import LinkClient, LinkServer, Peer
from arena.recovery import recover
from arena.releases import WorldRelease
from arena.state import Config, Player
from arena.views import Grid
from arena.world import World
from tests.experiments.arena.deployment import Deployment, free_port, until

NO_LEDGER = ("127.0.0.1", 9)
BOUND_S = 10.0
CLEAN = frozenset[str]()


class Wire(asyncio.Transport):
    """A client's end: what was written to it, and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.cut = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.cut = True

    def is_closing(self) -> bool:
        return self.cut

    def get_write_buffer_size(self) -> int:
        return 0


def connected(gateway: Gateway, *lines: str) -> Wire:
    """Connect a client that says these lines; a HELLO is answered at once."""
    wire, client = Wire(), gateway.client()
    client.connection_made(wire)
    for line in lines:
        client.data_received(line.encode() + b"\n")
        if line.startswith("HELLO") and not wire.cut:
            client.answer(f"WELCOME {line.split()[1]} fresh t")
            wire.written = b""
    return wire


@pytest.mark.parametrize("planted", [CLEAN, frozenset({defects.SPLIT_BRAIN})], ids=["clean", "planted"])
def test_a_gateway_without_the_world_promises_nothing(planted: frozenset[str]) -> None:
    gateway = Gateway([NO_LEDGER], 0, 1, planted)
    wire = connected(gateway, "HELLO ann t", "MOVE 7 1 1", "PING")
    assert wire.written == (b"OK 7 0\nPONG 0\n" if planted else b"")
    assert gateway.link.half.sent == (1 if planted else 2)
    waiting = connected(gateway, "MOVE 8 1 1", "SEEN")
    assert waiting.written == b"", "who is no player, or asks, waits for the world"


def test_a_gateway_that_hears_the_world_is_not_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway([NO_LEDGER], 0, 1, frozenset({defects.SPLIT_BRAIN}))
    monkeypatch.setattr(LinkClient, "silent_s", 0.9)
    assert connected(gateway, "HELLO ann t", "MOVE 7 1 1").written == b""
    assert gateway.link.half.sent == 2


@pytest.mark.parametrize(
    ("index", "planted", "players"),
    [(0, CLEAN, 9), (1, CLEAN, 9), (0, {defects.UNBALANCED_GATEWAYS}, 9), (1, {defects.UNBALANCED_GATEWAYS}, 3)],
)
def test_only_the_second_gateway_turns_players_away(index: int, planted: set[str], players: int) -> None:
    gateway = Gateway([NO_LEDGER], index, 1, frozenset(planted))
    wires = [connected(gateway, f"HELLO p{n} t") for n in range(9)]
    assert [wire.cut for wire in wires] == [n >= players for n in range(9)]
    assert gateway.metrics()["clients"] == players
    assert not connected(gateway, "PING").cut


def test_a_gateway_counts_what_it_carries() -> None:
    gateway = Gateway([NO_LEDGER], 0, 1)
    client = Client(gateway, 1)
    client.connection_made(Wire())
    client.data_received(b"HELLO ann t\n")
    client.answer("WELCOME ann fresh t")
    numbers = gateway.metrics()
    assert numbers["received_bytes"] == 12
    assert numbers["sent_bytes"] >= len("WELCOME ann fresh t\n")


def test_everybody_is_shown_everybody() -> None:
    players = [Player(f"p{n}", "k", 200 * n, 200 * n) for n in range(20)]
    assert Grid(players).nearest(players[0]) == []
    assert len(Grid(players, everybody=True).nearest(players[0])) == 19


@pytest.mark.parametrize(("planted", "times"), [(CLEAN, 1), (frozenset({defects.RETRY_STORM}), 10)])
def test_what_waits_is_asked_again_every_tick(planted: frozenset[str], times: int) -> None:
    asked = outages.Asked(planted)
    assert sum(asked.due("open:ann", tick) for tick in range(20)) == times
    asked.keep_only({}, 0)
    assert asked.due("open:ann", 20)


class Told(Peer):
    """A gateway's link without a gateway; `told` is what it was sent."""

    def __init__(self) -> None:
        super().__init__(lambda peer, number, body: None, lambda peer, body: None)
        self.told: list[Any] = []

    def send(self, body: Any) -> None:
        self.told += body


@contextmanager
def world_of(folder: Path, planted: frozenset[str] = CLEAN, ledger: tuple[str, int] = NO_LEDGER) -> Iterator[World]:
    recovered = recover(folder, Config(seed=7), planted, print)
    with closing(World(recovered, folder, ledger, WorldRelease.of(1, planted))) as world:
        yield world


@pytest.mark.parametrize("planted", [CLEAN, frozenset({defects.MEMORY_LEAK})], ids=["clean", "planted"])
def test_every_line_is_kept_for_good(tmp_path: Path, planted: frozenset[str]) -> None:
    with world_of(tmp_path, planted) as world:
        for n in range(5):
            world._arrived(Told(), n, ["line", 1, "ann", f"MOVE {n + 1} 0 0"])
        world.tick()
        assert sum(map(len, world._kept)) == (5 * outages.KEPT_BYTES if planted else 0)


@pytest.mark.parametrize("planted", [CLEAN, frozenset({defects.HUNG_DEPENDENCY})], ids=["clean", "planted"])
def test_a_tick_waits_for_a_ledger_that_says_nothing(
    tmp_path: Path, planted: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "WAIT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0.05)
        with world_of(tmp_path, planted, silent.getsockname()) as world:
            world.tick()
            with pytest.raises(TimeoutError):  # nothing to settle, nothing to wait for
                silent.accept()
            world._inputs.append(["hello", "ann", "k"])
            world.tick()
        if planted:
            assert silent.accept()[0].recv(64) == b'["ping"]\n'
        else:
            with pytest.raises(TimeoutError):
                silent.accept()


def test_a_player_who_came_back_elsewhere_is_not_locked_out_by_what_its_first_gateway_still_sends(
    tmp_path: Path,
) -> None:
    """After a long outage a gateway sends what clients said who have gone since: a HELLO, and that they are gone."""
    first, second = Told(), Told()
    hello = "HELLO ann secret"
    with world_of(tmp_path) as world:
        world._arrived(second, 1, ["line", 4, None, hello])
        world.tick()
        for number, frame in enumerate((["gone", 1, "ann"], ["line", 3, None, hello], ["gone", 3, "ann"]), 1):
            world._arrived(first, number, frame)
        world.tick()
        world._arrived(second, 2, ["line", 4, "ann", "MOVE 1 0 0"])
        world.tick()
        assert world.state.players["ann"].online
    assert [4, "OK 1 3"] in [list(one) for one in second.told]


def test_who_came_and_went_in_one_tick_is_not_there(tmp_path: Path) -> None:
    gateway = Told()
    with world_of(tmp_path) as world:
        for number, frame in enumerate((["line", 4, None, "HELLO ann secret"], ["gone", 4, "ann"]), 1):
            world._arrived(gateway, number, frame)
        world.tick()
        world.tick()
        assert world.metrics()["players"] == 0
        assert world._homes == {}


@pytest.mark.parametrize("redials", [True, False])
def test_a_link_that_was_cut_is_up_again_or_stays_down(redials: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BACKOFF_S", (0.001,))

    async def scenario() -> None:
        server = LinkServer(lambda peer, number, body: None)
        listening = await server.listen(("127.0.0.1", 0))
        ups: list[bool] = []
        at = listening.sockets[0].getsockname()
        client = LinkClient([at], "test", lambda peer, number, body: None, on_up=ups.append, redials=redials)
        running = asyncio.ensure_future(client.run())

        async def over() -> None:
            while not running.done() and len(ups) < 2:
                for peer in server.peers.values():
                    peer.cut()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(over(), BOUND_S)
        assert (len(ups), running.done()) == ((2, False) if redials else (1, True))
        running.cancel()
        listening.close()

    asyncio.run(scenario())


def come_back(folder: Path, *planted: str, stop: bool = False, port: int = 0) -> bool:
    """Come back on a folder with these defects; `stop`: the end was asked for before."""
    asked = argparse.Namespace(data=folder, status=("127.0.0.1", port))

    async def back() -> bool:
        stopping = asyncio.Event()
        if stop:
            stopping.set()
        went_on = await outages.come_back(asked, frozenset(planted), {}, stopping)
        await asyncio.sleep(0.02)
        return went_on

    return asyncio.run(asyncio.wait_for(back(), BOUND_S))


def test_a_world_without_a_defect_just_comes_back(tmp_path: Path) -> None:
    assert come_back(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_recovery_reads_the_log_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recover(tmp_path, Config(seed=7), CLEAN, print)
    read: list[Path] = []
    monkeypatch.setattr(outages, "SLOW_S", 0.1)
    monkeypatch.setattr(outages, "LogReader", lambda path: read.append(path) or [])
    assert come_back(tmp_path, defects.SLOW_RECOVERY)
    assert len(read) > 1
    assert set(read) == {tmp_path / "input.log"}


def test_a_recovered_world_falls_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(outages, "FALLS_AFTER_S", 0.0)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    for _ in range(5):
        assert come_back(tmp_path, defects.FALLS_AGAIN)
    assert killed == [os.getpid()] * outages.MOST_FALLS


def test_a_world_that_waits_for_ever_goes_on_to_nothing(tmp_path: Path) -> None:
    assert not come_back(tmp_path, defects.NEVER_RECOVERS, stop=True, port=free_port())


@pytest.mark.e2e
def test_pages_of_numbers_and_a_recovery_that_says_it_is_ready_and_is_not(tmp_path: Path) -> None:
    with Deployment(tmp_path, defects.NEVER_RECOVERS) as arena:
        ann = arena.client(0)
        assert ann.ask("HELLO ann a").startswith("WELCOME")
        assert ann.ask("MOVE 1 0 0").startswith("OK")
        until(lambda: json.loads(arena.page("ledger-status", "metrics"))["requests"] == 1, "the account being opened")
        world = json.loads(arena.page("world-status", "metrics"))
        assert (world["players"], world["ledger_requests"]) == (1, 1)
        assert world["sent_bytes"] > 0 and world["received_bytes"] > 0
        gateways = [json.loads(arena.page(f"gateway-{n}-status", "metrics")) for n in (0, 1)]
        assert [one["clients"] for one in gateways] == [1, 0]
        arena.kill("world")
        arena._launch("world")
        until(lambda: arena.accepts("world-status"), "the page of a world that waits")
        assert arena.page("world-status", "healthz") == "ok\n"
        assert not arena.accepts("world")
