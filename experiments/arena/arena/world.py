"""The world: the one process that decides. Twenty times a second it collects what arrived, writes it to the input
log, applies it, writes the digest of the state, and only then answers.

    python3 -m arena.world --listen 127.0.0.1:7100 --status 127.0.0.1:7101 --ledger 127.0.0.1:7200 --data DIR --seed 7

Started on a folder with data it recovers. The rules are in state.py; here are only the effects: sockets, files, time.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from arena import defects, outages, reads
from arena.gate import Gate, Open
from arena.inputlog import LineFile, digest_line, encode, input_log
from arena.link import LinkClient, LinkServer, Peer
from arena.numbering import Body
from arena.protocol import Asked, parse
from arena.recovery import Recovered, recover, write_snapshot
from arena.releases import WorldRelease, add_option, version_line
from arena.state import Config, Input, Step, combined
from arena.views import Grid, view_line
from arena.wire import Address, address, json_page, run_service, say, serve_pages

SNAPSHOT_EVERY = 200  # ticks
VIEW_EVERY = 10  # ticks
MOST_LATE_TICKS = 5  # after a longer stop the world goes on from now instead of catching up


@dataclass(frozen=True)
class Arrival:
    """One frame of a gateway: what client of it says what, as which player."""

    gateway: Peer
    number: int
    kind: str
    client: int
    player: str | None
    asked: Asked


@dataclass(frozen=True)
class Told:
    """What a tick has for the gateways and the ledger, as soon as it may be told."""

    tick: int
    lines: dict[Peer, list[tuple[int, str]]]
    answered: dict[Peer, int]
    confirmed: int | None


class World:
    """The effects around one state. What it says goes through a gate, which is open where there is no standby."""

    def __init__(
        self, recovered: Recovered, folder: Path, ledger: Address, release: WorldRelease, gate: Gate | None = None
    ) -> None:
        self.state = recovered.state
        self.release = release
        self._gate = gate or Open()
        self.gateways = LinkServer(self._arrived, self._ping, self._gateway_gone)
        self.ledger = LinkClient([ledger], "world", self._confirmed)
        self._ledger_at = ledger
        self._folder = folder
        planted = self.state.planted
        self._log = release.log(input_log(folder / "input.log", planted))
        self._reads = reads.chosen(self.state, afresh=recovered.downtime_ms is None)
        self._digests = LineFile(folder / "digests.jsonl")
        self._arrivals: list[Arrival] = []
        self._inputs: list[Input] = _first_inputs(recovered)
        self._confirmations: list[tuple[int, Input]] = []
        self._held: deque[Told] = deque()
        self._pings: list[tuple[Peer, int]] = []
        self._homes: dict[str, tuple[Peer, int]] = {}
        self._asked_of_ledger = outages.Asked(planted)
        self._kept: list[str] = []  # nobody needs it: the planted memory leak

    def tick(self) -> None:
        """Play one tick: log, apply, digest, answer, in this order; the gate says when it is logged well enough for
        that. Raises OSError when a file cannot be written."""
        arrivals, self._arrivals = self._arrivals, []
        confirmations, self._confirmations = self._confirmations, []
        inputs, self._inputs = self._inputs, []
        inputs += [given for _, given in confirmations]
        first = len(inputs)
        inputs += [arrival.asked.given for arrival in arrivals if arrival.asked.given is not None]
        self._log.append(encode(self.state.tick + 1, self._to_log(inputs)))
        self._gate.logged()
        step = self.state.step(inputs)
        parts = self.state.parts()
        self._digests.append(digest_line(self.state.tick, combined(parts), parts))
        self._held.append(self._answers(arrivals, step, first, confirmations[-1][0] if confirmations else None))
        self.release_held()
        if self.state.tick % SNAPSHOT_EVERY == 0:
            write_snapshot(self._folder, self.state)

    def _to_log(self, inputs: list[Input]) -> list[Input]:
        if defects.UNLOGGED_INPUT in self.state.planted:
            return [given for given in inputs if given[0] != "chat"]
        return inputs

    def metrics(self) -> dict[str, int]:
        """Return what there is to be watched; the bytes are those to and from all gateways."""
        return {
            "players": sum(player.online for player in self.state.players.rows()),
            "matches": len(self.state.matches),
            "outbox": len(self.state.outbox),
            "ledger_requests": self.ledger.half.sent,
            "sent_bytes": self.gateways.traffic.sent_bytes,
            "received_bytes": self.gateways.traffic.received_bytes,
        }

    def close(self) -> None:
        """Close the files."""
        self._log.close()
        self._digests.close()

    def _arrived(self, gateway: Peer, number: int, body: Body) -> None:
        kind, client, player, *rest = body
        if kind == "line":
            if defects.MEMORY_LEAK in self.state.planted:
                self._kept.append(rest[0].ljust(outages.KEPT_BYTES))
            asked = self.release.heard(parse(player, rest[0]))
        elif kind in ("here", "gone"):
            asked = Asked(given=["back" if kind == "here" else "leave", player])
        else:
            raise ValueError(f"unknown frame {kind!r}")
        if kind != "gone" and player is not None:
            self._homes.setdefault(player, (gateway, client))
        if player is not None and self._homes.get(player, (gateway, client)) != (gateway, client):
            asked = Asked(error="ERR this session was resumed elsewhere")
        self._arrivals.append(Arrival(gateway, number, kind, client, player, asked))

    def _ping(self, gateway: Peer, body: Body) -> None:
        _, number = body
        self._pings.append((gateway, number))
        if not self._held:
            self._pong()

    def _pong(self) -> None:
        pings, self._pings = self._pings, []
        for gateway, number in pings:
            gateway.send_now(["pong", number, self.state.tick])

    def _gateway_gone(self, gateway: Peer) -> None:
        """Let everybody leave who was there and has not come back over another gateway."""
        for name in [name for name, (home, _) in self._homes.items() if home is gateway]:
            del self._homes[name]
            self._inputs.append(["leave", name])

    def _confirmed(self, ledger: Peer, number: int, body: Body) -> None:
        key, done, balances = body
        self._confirmations.append((number, ["ledger", key, done, balances]))

    def release_held(self) -> None:
        """Tell what the gate lets out by now. The ledger is asked, and a ping answered, when nothing is held back."""
        answerable = self._gate.answerable(self.state.tick)
        while self._held and self._held[0].tick <= answerable:
            self._tell(self._held.popleft())
        if not self._held:
            self._ask_ledger()
            self._pong()

    def _answers(self, arrivals: list[Arrival], step: Step, first: int, confirmed: int | None) -> Told:
        """Answer all arrivals in their order, then push."""
        lines: dict[Peer, list[tuple[int, str]]] = {}
        replies = iter(step.replies[first:])
        for arrival in arrivals:
            reply = self._reply(arrival, next(replies) if arrival.asked.given is not None else None)
            if reply is not None:
                told = ((arrival.client, text) for text in self.release.welcomed(reply))
                lines.setdefault(arrival.gateway, []).extend(told)
        for name, text in self._pushes(step):
            home = self._homes.get(name)
            if home is not None and home[0].up:
                lines.setdefault(home[0], []).append((home[1], text))
        answered = {arrival.gateway: arrival.number for arrival in arrivals}
        return Told(self.state.tick, lines, answered, confirmed)

    def _tell(self, told: Told) -> None:
        """Send one frame to each gateway, and say what is consumed."""
        for gateway, lines in told.lines.items():
            if gateway.full:
                self.gateways.forget(gateway)
            gateway.answer(told.answered.get(gateway, 0), lines)
        for gateway, number in told.answered.items():
            gateway.consumed(number)
        if told.confirmed is not None:
            self.ledger.consumed(told.confirmed)

    def _reply(self, arrival: Arrival, outcome: str | None) -> str | None:
        asked = arrival.asked
        if arrival.kind == "gone":
            self._gone(arrival)
            return None
        if arrival.kind == "here":
            return version_line("world", self.release.number)
        if asked.question is not None:
            return self._reads.answer(self.state, arrival.player, asked.question)
        if asked.token is not None and asked.given is not None and outcome in ("fresh", "resumed"):
            self._homes[asked.given[1]] = (arrival.gateway, arrival.client)
            return f"WELCOME {asked.given[1]} {outcome} {asked.token}"
        return asked.error or outcome

    def _gone(self, arrival: Arrival) -> None:
        """Forget a client that is gone, but not the one through which its player has come back in the same tick."""
        name = arrival.player
        if name is not None and self._homes.get(name) == (arrival.gateway, arrival.client):
            del self._homes[name]
            if arrival.asked.given is None:
                # It was welcomed in this very tick, after it had been taken for a stranger.
                self._inputs.append(["leave", name])

    def _pushes(self, step: Step) -> Iterator[tuple[str, str]]:
        """Yield what players are told unasked: their matches, what was said near them, and now and then their view."""
        yield from step.pushes
        players = self.state.players
        grid = Grid(players.rows(), everybody=defects.BROADCAST in self.state.planted)
        for name, text in step.said:
            for listener in grid.nearest(players[name]):
                yield listener.name, f"* CHAT {name} {text}"
        for at, name in enumerate(players):
            if at % VIEW_EVERY == self.state.tick % VIEW_EVERY and name in self._homes:
                yield name, view_line(self.state.tick, grid.nearest(players[name]))

    def _ask_ledger(self) -> None:
        """Send what stands in the outbox and was not sent by this process yet."""
        outbox = self.state.outbox
        for key in outbox:
            if not self.ledger.full and self._asked_of_ledger.due(key, self.state.tick):
                self.ledger.send([key, outbox[key], *self._gate.epoch])
        self._asked_of_ledger.keep_only(outbox, 2 * len(outbox) + 1000)
        if outbox and defects.HUNG_DEPENDENCY in self.state.planted:
            outages.wait_for_ledger(self._ledger_at)


def _first_inputs(recovered: Recovered) -> list[Input]:
    if recovered.downtime_ms is None:
        return []
    again: list[Input] = []
    if defects.DOUBLE_APPLY in recovered.state.planted:
        again = [given for given in recovered.last_inputs if given[0] in ("move", "hit", "chat", "queue")]
    return [["downtime", recovered.downtime_ms], *again]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no second world writes to it. Raises ValueError when one does."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another world works in {folder}") from None
        yield
    finally:
        os.close(fd)


async def play(world: World, hz: int, goes_on: Callable[[], bool]) -> None:
    """Tick at a fixed rate as long as it goes on."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while goes_on():
        world.tick()
        due = max(due + 1 / hz, loop.time() - MOST_LATE_TICKS / hz)
        await asyncio.sleep(max(0.0, due - loop.time()))


async def serve(asked: argparse.Namespace, planted: frozenset[str], stop: asyncio.Event) -> None:
    """Recover, then play until `stop` is set. Raises ValueError for damaged data, OSError for a port or a disk."""
    asked.data.mkdir(parents=True, exist_ok=True)
    release = WorldRelease.of(asked.release, planted)
    with locked(asked.data):
        config = Config(asked.seed, asked.hz, asked.resume_within * 1000)
        release.take_over(asked.data)
        recovered = recover(asked.data, config, planted, say)
        world = World(recovered, asked.data, asked.ledger, release)
        pages = {
            "/healthz": lambda: (200, "ok\n"),
            "/metrics": lambda: json_page(world.metrics()),
            "/status": lambda: json_page(
                {
                    "role": "leader",
                    "tick": world.state.tick,
                    "version": str(release.number),
                    "players": len(world.state.players),
                    "matches": len(world.state.matches),
                }
            ),
        }
        if recovered.downtime_ms is not None and not await outages.come_back(asked, planted, pages, stop):
            return
        # Both ports open after the recovery: an answer from here means that the world plays.
        links = await world.gateways.listen(asked.listen)
        page_server = await serve_pages(asked.status, pages)
        linking = asyncio.create_task(world.ledger.run())
        say(f"world goes on at tick {world.state.tick}, defects: {', '.join(sorted(planted)) or 'none'}")
        try:
            await play(world, asked.hz, lambda: not stop.is_set())
        finally:
            linking.cancel()
            links.close()
            page_server.close()
            world.close()


def options(prog: str, description: str) -> argparse.ArgumentParser:
    """Return what a world is started with."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--listen", type=address, required=True, help="where gateways connect: HOST:PORT")
    parser.add_argument("--status", type=address, required=True, help="where its status is served: HOST:PORT")
    parser.add_argument("--ledger", type=address, required=True, help="where the ledger is: HOST:PORT")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the log, digests and snapshots")
    parser.add_argument("--seed", type=int, required=True, help="what all chance in the world comes from")
    parser.add_argument("--hz", type=int, default=20, help="ticks a second")
    parser.add_argument("--resume-within", type=int, default=30, help="seconds a match may be interrupted for")
    add_option(parser)
    parser.add_argument("--defect", action="append", default=[], help="a planted defect, see arena/defects.py")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    asked = options("arena.world", "The authoritative world of the arena.").parse_args(argv)

    async def service(stop: asyncio.Event) -> None:
        await serve(asked, defects.chosen(asked.defect), stop)

    return run_service("world", service)


if __name__ == "__main__":
    sys.exit(main())
