"""The ledger: commits what the world asks for, once.

    python3 -m arena.ledger --listen 127.0.0.1:7200 --status 127.0.0.1:7201 --db ledger.db

From the world: `[key, operation]` as frames, as they stand in the outbox of its state; where there are two worlds,
`[key, operation, epoch]`, and it also says who of them leads (lease.py): what comes of an epoch that is over is not
done. To the world: `[key, done, balances]`. The status port serves /healthz, /totals (all gold there is), /digest (of
all rows) and /metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arena import defects
from arena.bank import Bank
from arena.lease import Arbiter
from arena.link import LinkServer, Peer
from arena.numbering import Body
from arena.wire import Address, address, json_page, run_service, say, serve_pages


class Ledger:
    """Answers the world. `broken` is set when the books can no longer be kept: then it must not go on."""

    def __init__(self, bank: Bank, arbiter: Arbiter, stop: asyncio.Event) -> None:
        self._bank = bank
        self._arbiter = arbiter
        self._stop = stop
        self.broken: str | None = None
        self.requests = 0
        self.fenced = 0

    def answer(self, peer: Peer, number: int, body: Body) -> None:
        """Commit one frame of a world, answer it, and only then let the world forget it."""
        if self.broken is not None:
            return
        self.requests += 1
        key, entry, *epoch = body
        if epoch and self._arbiter.is_over(epoch[0]):
            self.fenced += 1
            peer.consumed(number)
            return
        with self._keeping(f"cannot commit {key}"):
            done, balances = self._bank.apply(key, entry)
            peer.answer(number, [key, done, balances])

    def lend(self, peer: Peer, body: Body) -> None:
        """Say who leads."""
        if self.broken is None:
            with self._keeping("cannot keep who leads"):
                self._arbiter.hear(peer, body)

    @contextmanager
    def _keeping(self, otherwise: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.broken = f"{otherwise}: {error}"
            self._stop.set()


async def serve(listen: Address, status: Address, db: Path, planted: frozenset[str], stop: asyncio.Event) -> None:
    """Run the ledger until `stop` is set. Raises OSError where the database cannot be used (any more)."""
    try:
        bank, arbiter = Bank(db, planted), Arbiter(db)
    except sqlite3.Error as error:
        raise OSError(f"cannot open {db}: {error}") from error
    ledger = Ledger(bank, arbiter, stop)
    pages = {
        "/healthz": lambda: (200, "ok\n"),
        "/totals": lambda: json_page({"gold": bank.total()}),
        "/digest": lambda: (200, bank.digest() + "\n"),
        "/metrics": lambda: json_page({"requests": ledger.requests, "fenced": ledger.fenced, "epoch": arbiter.epoch}),
    }
    links = await LinkServer(ledger.answer, ledger.lend).listen(listen)
    page_server = await serve_pages(status, pages)
    say(f"ledger listens on {listen[0]}:{listen[1]}, defects: {', '.join(sorted(planted)) or 'none'}")
    await stop.wait()
    links.close()
    page_server.close()
    bank.close()
    arbiter.close()
    if ledger.broken is not None:
        raise OSError(ledger.broken)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="arena.ledger", description="The ledger of the arena.")
    parser.add_argument("--listen", type=address, required=True, help="where the world connects: HOST:PORT")
    parser.add_argument("--status", type=address, required=True, help="where its status is served: HOST:PORT")
    parser.add_argument("--db", type=Path, required=True, help="the database file")
    parser.add_argument("--defect", action="append", default=[], help="a planted defect, see arena/defects.py")
    asked = parser.parse_args(argv)

    async def service(stop: asyncio.Event) -> None:
        await serve(asked.listen, asked.status, asked.db, defects.chosen(asked.defect), stop)

    return run_service("ledger", service)


if __name__ == "__main__":
    sys.exit(main())
