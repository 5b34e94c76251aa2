"""The ledger: commits what the world asks for, once.

    python3 -m arena.ledger --listen 127.0.0.1:7200 --status 127.0.0.1:7201 --db ledger.db

From the world: `[key, operation]` as frames, as they stand in the outbox of its state. To the world:
`[key, done, balances]`. The status port serves /healthz, /totals (all gold there is), /digest (of all rows) and
/metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from pathlib import Path

from arena import defects
from arena.bank import Bank
from arena.link import LinkServer, Peer
from arena.numbering import Body
from arena.wire import Address, address, json_page, run_service, say, serve_pages


class Ledger:
    """Answers the world. `broken` is set when the books can no longer be kept: then it must not go on."""

    def __init__(self, bank: Bank, stop: asyncio.Event) -> None:
        self._bank = bank
        self._stop = stop
        self.broken: str | None = None
        self.requests = 0

    def answer(self, peer: Peer, number: int, body: Body) -> None:
        """Commit one frame of a world, answer it, and only then let the world forget it."""
        if self.broken is not None:
            return
        self.requests += 1
        key, entry = body
        try:
            done, balances = self._bank.apply(key, entry)
        except sqlite3.Error as error:
            self.broken = f"cannot commit {key}: {error}"
            self._stop.set()
            return
        peer.answer(number, [key, done, balances])


async def serve(listen: Address, status: Address, db: Path, planted: frozenset[str], stop: asyncio.Event) -> None:
    """Run the ledger until `stop` is set. Raises OSError where the database cannot be used (any more)."""
    try:
        bank = Bank(db, planted)
    except sqlite3.Error as error:
        raise OSError(f"cannot open {db}: {error}") from error
    ledger = Ledger(bank, stop)
    pages = {
        "/healthz": lambda: (200, "ok\n"),
        "/totals": lambda: json_page({"gold": bank.total()}),
        "/digest": lambda: (200, bank.digest() + "\n"),
        "/metrics": lambda: json_page({"requests": ledger.requests}),
    }
    links = await LinkServer(ledger.answer).listen(listen)
    page_server = await serve_pages(status, pages)
    say(f"ledger listens on {listen[0]}:{listen[1]}, defects: {', '.join(sorted(planted)) or 'none'}")
    await stop.wait()
    links.close()
    page_server.close()
    bank.close()
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
