from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from arena import defects, replication
from arena.connection import Door
from arena.inputlog import LogReader
from arena.recovery import recover
from arena.releases import WorldRelease
from arena.replication import Follower, Leading
from arena.state import Config
from arena.wire import Traffic
from arena.world import World

CONFIG = Config(seed=7)
CLEAN: frozenset[str] = frozenset()
BOUND_S = 10.0


class FakeLease:
    """A lease that is held; `knows` is told to the leader when the test says that the ledger has answered."""

    epoch = 1
    held = True
    paired = False

    def want(self, paired: bool) -> None:
        self.paired = paired


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not true():
            await asyncio.sleep(0.005)


class Leader:
    """A world behind its gate, at a port of its own."""

    def __init__(self, folder: Path, planted: frozenset[str] = CLEAN) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.lease = FakeLease()
        recovered = recover(folder, CONFIG, CLEAN, print)
        self.gate = Leading(folder, recovered.state.tick, self.lease, planted)  # type: ignore[arg-type]
        self.world = World(recovered, folder, ("127.0.0.1", 1), WorldRelease.of(1, CLEAN), self.gate)
        self.gate.opened = self.world.release_held

    def play(self, ticks: int) -> None:
        for n in range(ticks):
            self.world._inputs.append(["hello", f"p{self.world.state.tick}-{n}", "k"])
            self.world.tick()

    @property
    def held(self) -> int:
        return len(self.world._held)

    @contextlib.asynccontextmanager
    async def followed_in(self, folder: Path) -> AsyncIterator[Follower]:
        folder.mkdir(exist_ok=True)
        door = Door({"follow": self.gate.follow}, Traffic())
        server = await asyncio.get_running_loop().create_server(door.receive, "127.0.0.1", 0)
        follower = Follower(folder, CONFIG, CLEAN)
        running = asyncio.ensure_future(follower.run(server.sockets[0].getsockname()))
        try:
            yield follower
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            server.close()

    def close(self) -> None:
        self.gate.close()
        self.world.close()


@pytest.fixture
def leader(tmp_path: Path) -> Leader:
    return Leader(tmp_path / "leader")


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("input.log", "digests.jsonl"))


def play(scenario: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), BOUND_S))


def test_a_standby_catches_up_and_then_nothing_is_told_that_it_does_not_have(leader: Leader, tmp_path: Path) -> None:
    async def scenario() -> None:
        leader.play(replication.MOST_UNDERWAY + 50)
        assert leader.held == 0
        async with leader.followed_in(tmp_path / "standby") as follower:
            await until(lambda: leader.lease.paired)
            assert not follower.paired
            leader.gate.renewed(True)
            await until(lambda: follower.paired)
            leader.play(3)
            assert leader.held == 3
            await until(lambda: leader.held == 0)
            await until(lambda: follower.state.tick == leader.world.state.tick)
            assert same(leader.folder, tmp_path / "standby")

    play(scenario)


def test_a_standby_that_is_gone_is_waited_for_until_the_ledger_knows(leader: Leader, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with leader.followed_in(tmp_path / "standby"):
            await until(lambda: leader.lease.paired)
        await until(lambda: not leader.lease.paired)
        leader.play(2)
        leader.gate.renewed(True)  # said before it was gone
        assert leader.held == 2
        leader.gate.renewed(False)
        assert leader.held == 0
        leader.play(1)
        assert leader.held == 0

    play(scenario)


def test_a_leader_without_its_lease_says_nothing(leader: Leader) -> None:
    leader.lease.held = False
    leader.play(3)
    assert leader.held == 3


def test_with_two_leaders_planted_neither_waits_for_anybody(tmp_path: Path) -> None:
    leader = Leader(tmp_path / "leader", frozenset({defects.TWO_LEADERS}))

    async def scenario() -> None:
        leader.lease.held = False
        async with leader.followed_in(tmp_path / "standby"):
            await until(lambda: leader.lease.paired)
        await until(lambda: not leader.lease.paired)
        leader.play(2)
        assert leader.held == 0

    play(scenario)


@pytest.mark.parametrize("extra", [0, 2])
def test_who_was_parted_from_the_leader_begins_anew(tmp_path: Path, extra: int) -> None:
    """It led before, and has ticks that nobody else has, or others at the same place."""
    old = Leader(tmp_path / "standby")
    old.play(4 + extra)
    old.close()
    leader = Leader(tmp_path / "leader")
    leader.world._inputs.append(["hello", "ann", "k"])
    leader.play(4)

    async def scenario() -> None:
        async with leader.followed_in(tmp_path / "standby") as follower:
            await until(lambda: follower.state.tick == 4 and leader.lease.paired)
            assert same(leader.folder, tmp_path / "standby")

    play(scenario)


def test_who_comes_back_is_sent_only_what_it_lacks(leader: Leader, tmp_path: Path) -> None:
    async def scenario() -> None:
        leader.play(5)
        async with leader.followed_in(tmp_path / "standby") as follower:
            await until(lambda: follower.state.tick == 5)
        leader.play(5)
        inode = (tmp_path / "standby" / "input.log").stat().st_ino
        async with leader.followed_in(tmp_path / "standby") as follower:
            assert follower.state.tick == 5
            await until(lambda: follower.state.tick == 10)
        assert (tmp_path / "standby" / "input.log").stat().st_ino == inode

    play(scenario)


def test_a_standby_goes_on_from_where_it_is(leader: Leader, tmp_path: Path) -> None:
    async def scenario() -> None:
        leader.play(6)
        async with leader.followed_in(tmp_path / "standby") as follower:
            await until(lambda: follower.state.tick == 6)
        recovered = follower.recovered()
        assert recovered.state.tick == 6
        assert recovered.downtime_ms is not None and 0 <= recovered.downtime_ms < BOUND_S * 1000
        new = Follower(tmp_path / "new", CONFIG, CLEAN)
        assert new.recovered().downtime_ms is None, "nobody was ever down"

    (tmp_path / "new").mkdir()
    play(scenario)
    assert [record.tick for record in LogReader(tmp_path / "standby" / "input.log")] == list(range(7))
