"""From the leader's input log to the standby's, and back what it has, over a connection to the world's port:

["follow", tick, digest]     standby: where it is
["from", tick]               leader: what comes next is behind this tick; 0 where they were parted: begin anew
["log", record]              leader: the next record of its log
["has", tick]                standby: it is in its log too
["paired"]                   leader: from now on nothing is answered that the standby does not have
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from arena import defects
from arena.connection import Connection, Lose, Message, Take
from arena.inputlog import LineFile, decode, digest_line
from arena.lease import Lease
from arena.numbering import LinkError, encode
from arena.recovery import Recovered, recover, write_snapshot
from arena.state import Config, combined
from arena.wire import Address, Traffic, say

SILENT_S = 1.0
DIAL_S = 1.0
REDIAL_S = 0.2
MOST_UNDERWAY = 200  # records
SNAPSHOT_EVERY = 200  # ticks


class Leading:
    """The gate of a world that leads: it answers what its standby has too, while its lease is held.

    Without a standby it answers alone, but only once the ledger knows: who was not there may not take over.
    """

    def __init__(self, folder: Path, tick: int, lease: Lease, planted: frozenset[str]) -> None:
        self.epoch = (lease.epoch,) if lease.epoch else ()
        self.opened: Callable[[], None] = lambda: None
        self.paired = False
        self._folder = folder
        self._lease = lease
        self._two_leaders = defects.TWO_LEADERS in planted
        self._standby: Connection | None = None
        self._lines = (folder / "input.log").open("rb")
        self._sent = self._has = 0
        self._answered = tick
        self._waits = False

    def logged(self) -> None:
        """Send the standby what it does not have."""
        while self._standby is not None and self._sent - self._has < MOST_UNDERWAY:
            if not (line := self._lines.readline()):
                return
            self._standby.write(encode(["log", line.decode()]))
            self._sent += 1

    def answerable(self, tick: int) -> int:
        """Return up to which tick may be answered, when the world is at `tick`."""
        if self._lease.held or self._two_leaders:
            self._answered = max(self._answered, self._has if self._waits else tick)
        return self._answered

    def follow(self, connection: Connection, greeting: Message) -> tuple[Take, Lose]:
        """Receive the standby: see `connection.Host`."""
        self._part()
        tick, digest = greeting
        begin = tick if _digest_at(self._folder, tick) == digest else 0
        self._lines.seek(0)
        for _ in islice(self._lines, begin + 1):
            pass
        self._standby, self._sent, self._has = connection, begin, begin
        connection.silence_s = SILENT_S
        connection.write(encode(["from", begin]))
        self.logged()

        def lose(connection: Connection) -> None:
            if connection is self._standby:
                self._part()

        return self._take, lose

    def renewed(self, paired: bool) -> None:
        """Hear what the ledger knows of the standby now."""
        if paired != self._lease.paired:
            return
        if self._waits and not paired:
            say("answers without its standby")
            self._waits = False
            self.opened()
        elif paired and not self.paired and self._standby is not None:
            say("answers what its standby has")
            self._standby.write(encode(["paired"]))
            self.paired = True

    def close(self) -> None:
        """Let go of the standby."""
        if self._standby is not None:
            self._standby.abort()
            self._standby = None
        self._lines.close()

    def _take(self, connection: Connection, message: Message) -> None:
        kind, *rest = message
        if connection is not self._standby or kind == "beat":
            return
        if kind != "has":
            raise LinkError(f"unknown message {kind!r}")
        (self._has,) = rest
        if not self._lease.paired and self._has >= self._answered:
            # It waits before the ledger knows, and until the ledger knows better.
            self._waits = True
            self._lease.want(paired=True)
        self.logged()
        self.opened()

    def _part(self) -> None:
        if self._standby is None:
            return
        self._standby.abort()
        self._standby, self.paired = None, False
        self._lease.want(paired=False)
        if self._two_leaders:
            self._waits = False


class Follower:
    """The standby's side: keeps the leader's log, and the state that follows from it."""

    def __init__(self, folder: Path, config: Config, planted: frozenset[str]) -> None:
        self.heard = self.paired = False
        self._heard_at_s = time.monotonic()
        self._folder = folder
        self._config = config
        self._planted = planted
        self._open()

    @property
    def silent_s(self) -> float:
        """For how long no leader was heard."""
        return time.monotonic() - self._heard_at_s

    def recovered(self) -> Recovered:
        """Close the files, and return what a world goes on from."""
        self._close()
        written_s = (self._folder / "input.log").stat().st_mtime
        downtime_ms = max(0, round((time.time() - written_s) * 1000)) if self.state.tick else None
        return Recovered(self.state, downtime_ms, [])

    async def run(self, leader: Address) -> None:
        """Follow whoever leads there, until cancelled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                await self._follow(leader)
            self.paired = False
            await asyncio.sleep(REDIAL_S)

    async def _follow(self, leader: Address) -> None:
        lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(
            lambda: Connection(self._take, lambda connection: lost.set(), Traffic()), *leader
        )
        transport, connection = await asyncio.wait_for(connecting, DIAL_S)
        connection.silence_s = SILENT_S
        try:
            connection.write(encode(["follow", self.state.tick, combined(self.state.parts())]))
            await lost.wait()
        finally:
            transport.abort()

    def _take(self, connection: Connection, message: Message) -> None:
        kind, *rest = message
        self.heard, self._heard_at_s = True, time.monotonic()
        if kind == "log":
            self._keep(connection, rest[0].encode())
        elif kind == "from":
            self._begin(rest[0])
            connection.write(encode(["has", self.state.tick]))
        elif kind == "paired":
            self.paired = True
        elif kind != "beat":
            raise LinkError(f"unknown message {kind!r}")

    def _keep(self, connection: Connection, line: bytes) -> None:
        """Log a record, say so, and only then apply it. Raises LinkError for one that does not come next."""
        record = decode(line.removesuffix(b"\n"))
        if record.tick != self.state.tick + 1:
            raise LinkError(f"tick {record.tick} came after tick {self.state.tick}")
        self._log.append(line)
        connection.write(encode(["has", record.tick]))
        self.state.step(record.inputs)
        parts = self.state.parts()
        self._digests.append(digest_line(record.tick, combined(parts), parts))
        if record.tick % SNAPSHOT_EVERY == 0:
            write_snapshot(self._folder, self.state)

    def _begin(self, tick: int) -> None:
        """Go on from there; where that is not where it is, drop all that it has, for it is not what happened."""
        if tick != self.state.tick:
            say(f"was parted from the leader by tick {self.state.tick}, and begins anew")
            self._close()
            for path in (*self._folder.glob("snapshot-*.json"), self._folder / "digests.jsonl"):
                path.unlink(missing_ok=True)
            (self._folder / "input.log").unlink()
            self._open()

    def _open(self) -> None:
        self.state = recover(self._folder, self._config, self._planted, say).state
        self._log = LineFile(self._folder / "input.log")
        self._digests = LineFile(self._folder / "digests.jsonl")

    def _close(self) -> None:
        self._log.close()
        self._digests.close()


def _digest_at(folder: Path, tick: int) -> str | None:
    """Return the digest that is on disk for a tick, None where there is none."""
    with (folder / "digests.jsonl").open("rb") as lines:
        line = next(islice(lines, tick, None), None)
    return None if line is None else str(json.loads(line)["digest"])
