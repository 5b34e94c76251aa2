"""One of two worlds: it leads, or it stands by with the same log and the same state, ready to lead.

    python3 -m arena.standby --listen 127.0.0.1:7100 --status 127.0.0.1:7101 --ledger 127.0.0.1:7200 --data DIR \
        --seed 7 --index 0 --worlds 127.0.0.1:7100,127.0.0.1:7110

Who leads is said by the ledger (lease.py), and only by it. A standby claims the lead all the time, and gets it when the
leader has not renewed its lease: since the leader answers nothing that the standby does not have (replication.py),
nothing that was acknowledged is lost. A leader whose lease is over stops at once, and stands by. The ledger being
away is therefore an outage of the world too, unlike where it is alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from arena import defects, outages
from arena.connection import Connection, Door, Lose, Message, Take
from arena.lease import LEASE_S, Lease
from arena.numbering import LinkError
from arena.recovery import Recovered
from arena.releases import WorldRelease
from arena.replication import Follower, Leading
from arena.state import Config
from arena.wire import Traffic, addresses, json_page, run_service, say, serve_pages
from arena.world import World, locked, options, play

ASK_EVERY_S = 0.1
LOOK_EVERY_S = 0.02
# Who comes back leaves the lead to the other for so long: what it has is older, at best.
PATIENCE_S = 2 * LEASE_S
ALONE_AFTER_S = 1.0  # the planted defect `two-leaders`


class Replica:
    """One of the two, in turns follower and leader."""

    def __init__(self, asked: argparse.Namespace, planted: frozenset[str]) -> None:
        self._asked = asked
        self._planted = planted
        self._other = asked.worlds[1 - asked.index]
        self._config = Config(asked.seed, asked.hz, asked.resume_within * 1000)
        self._release = WorldRelease.of(asked.release, planted)
        self._follower = Follower(asked.data, self._config, planted)
        self._claims_from_s = 0.0
        self._leading: tuple[World, Leading] | None = None
        self._lease = Lease([asked.ledger], asked.index, self._renewed)
        self._traffic = Traffic()
        self.door = Door({"hello": self._hello, "follow": self._followed}, self._traffic)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow and lead until `stop` is set."""
        tasks = [asyncio.create_task(self._lease.link.run()), asyncio.create_task(self._ask())]
        try:
            while not stop.is_set():
                await self._stand_by(stop)
                if not stop.is_set():
                    await self._lead(self._follower.recovered(), stop)
                    self._follower = Follower(self._asked.data, self._config, self._planted)
        finally:
            for task in tasks:
                task.cancel()

    def health(self) -> tuple[int, str]:
        """Return the page that says whether this one is of use: it leads, or could at any moment."""
        ready = self._leading is not None or self._follower.paired
        return (200, "ok\n") if ready else (503, "catching up\n")

    def status(self) -> tuple[int, str]:
        """Return the page that says what it is."""
        state = self._follower.state
        return json_page(
            {
                "role": "leader" if self._leading is not None else "standby",
                "epoch": self._lease.epoch,
                "paired": self._leading[1].paired if self._leading is not None else self._follower.paired,
                "tick": state.tick,
                "version": str(self._release.number),
                "players": len(state.players),
                "matches": len(state.matches),
            }
        )

    def metrics(self) -> tuple[int, str]:
        """Return the page of what there is to be watched: nothing while it stands by."""
        return json_page({} if self._leading is None else self._leading[0].metrics())

    async def _ask(self) -> None:
        """Claim or renew the lead, all the time."""
        while True:
            if self._leading is not None or self._follower.heard or time.monotonic() >= self._claims_from_s:
                self._lease.ask()
            await asyncio.sleep(ASK_EVERY_S)

    async def _stand_by(self, stop: asyncio.Event) -> None:
        """Follow until it is to lead."""
        self._claims_from_s = time.monotonic() + (PATIENCE_S if self._follower.state.tick else 0.0)
        say(f"stands by at tick {self._follower.state.tick}")
        following = asyncio.create_task(self._follower.run(self._other))
        try:
            while not (stop.is_set() or self._lease.held or self._promotes_itself):
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _lead(self, recovered: Recovered, stop: asyncio.Event) -> None:
        """Lead as long as the lease is held."""
        folder = self._asked.data
        gate = Leading(folder, recovered.state.tick, self._lease, self._planted)
        world = World(recovered, folder, self._asked.ledger, self._release, gate)
        gate.opened = world.release_held
        world.gateways.traffic = self._traffic
        self._leading = world, gate
        say(f"leads from tick {world.state.tick}, epoch {self._lease.epoch}")
        linking = asyncio.create_task(world.ledger.run())
        planted = defects.TWO_LEADERS in self._planted
        meeting = asyncio.create_task(outages.meet_leader(self._other)) if planted else None

        def goes_on() -> bool:
            leads = self._lease.held or (meeting is not None and not meeting.done())
            return leads and not stop.is_set()

        try:
            await play(world, self._asked.hz, goes_on)
        finally:
            self._leading = None
            self._lease.give_up()
            linking.cancel()
            world.gateways.close()
            gate.close()
            world.close()

    @property
    def _promotes_itself(self) -> bool:
        """Whether it leads without asking: never, without the planted defect."""
        alone = self._follower.heard and self._follower.silent_s > ALONE_AFTER_S
        return alone and defects.TWO_LEADERS in self._planted

    def _renewed(self, paired: bool) -> None:
        if self._leading is not None:
            self._leading[1].renewed(paired)

    def _hello(self, connection: Connection, greeting: Message) -> tuple[Take, Lose]:
        world, _ = self._as_leader()
        return world.gateways.hello(connection, greeting)

    def _followed(self, connection: Connection, greeting: Message) -> tuple[Take, Lose]:
        _, gate = self._as_leader()
        return gate.follow(connection, greeting)

    def _as_leader(self) -> tuple[World, Leading]:
        if self._leading is None:
            raise LinkError("it does not lead; ask the other one")
        return self._leading


async def serve(asked: argparse.Namespace, planted: frozenset[str], stop: asyncio.Event) -> None:
    """Be one of the two until `stop` is set. Raises ValueError for damaged data, OSError for a port or a disk."""
    if len(asked.worlds) != 2 or asked.index not in (0, 1):
        raise ValueError(f"there are two worlds, 0 and 1, not {len(asked.worlds)} with an index of {asked.index}")
    asked.data.mkdir(parents=True, exist_ok=True)
    with locked(asked.data):
        replica = Replica(asked, planted)
        pages = {"/healthz": replica.health, "/status": replica.status, "/metrics": replica.metrics}
        page_server = await serve_pages(asked.status, pages)
        server = await asyncio.get_running_loop().create_server(replica.door.receive, *asked.listen)
        try:
            await replica.run(stop)
        finally:
            server.close()
            page_server.close()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = options("arena.standby", "One of two worlds of the arena, of which one leads.")
    parser.add_argument("--index", type=int, required=True, help="which of the two it is: 0 or 1")
    parser.add_argument("--worlds", type=addresses, required=True, help="where both are: HOST:PORT,HOST:PORT")
    asked = parser.parse_args(argv)

    async def service(stop: asyncio.Event) -> None:
        await serve(asked, defects.chosen(asked.defect), stop)

    return run_service("standby", service)


if __name__ == "__main__":
    sys.exit(main())
