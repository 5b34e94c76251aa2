"""Gold: accounts, escrow and treasury in SQLite, where every operation is one transaction that happens once.

All gold is in one table, by holder: `treasury`, `player:NAME`, `escrow:MATCH:NAME`. The only way to change it is to
move an amount from one holder to another, so its total is constant by construction.

SQLite runs with a write-ahead log and `synchronous=NORMAL`: a committed transaction outlives the process (SIGKILL),
and the database stays whole over a power loss, which may take the last commits with it. That is the promise that the
world's input log gives, and more would not make the pair safer.
"""

from __future__ import annotations

import json
import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import Any

from arena import defects

TREASURY = 10_000_000
OPENING = 100

_SCHEMA = """
CREATE TABLE IF NOT EXISTS gold (holder TEXT PRIMARY KEY, amount INTEGER NOT NULL CHECK (amount >= 0)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, result TEXT NOT NULL) WITHOUT ROWID;
"""


class RefusedError(Exception):
    """An operation cannot be done; nothing was moved."""


class Bank:
    """The ledger's books."""

    def __init__(self, path: Path | str, planted: frozenset[str] = frozenset()) -> None:
        self._planted = planted
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO gold VALUES ('treasury', ?)", (TREASURY,))

    def apply(self, key: str, entry: dict[str, Any]) -> tuple[bool, dict[str, int]]:
        """Do an operation once: open, hold, settle or release. Return whether it was done, and new balances by player.

        The same key again returns the first answer and moves nothing. Raises ValueError for no known operation.
        """
        known = self._db.execute("SELECT result FROM done WHERE key = ?", (key,)).fetchone()
        if known is not None:
            done, balances = json.loads(known[0])
            return done, balances
        self._db.execute("BEGIN IMMEDIATE")
        try:
            result = self._try(entry)
            self._db.execute("INSERT INTO done VALUES (?, ?)", (key, json.dumps(result)))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return result

    def total(self) -> int:
        """Return all gold there is."""
        return int(self._db.execute("SELECT sum(amount) FROM gold").fetchone()[0])

    def digest(self) -> str:
        """Return a digest of all rows in order."""
        state = blake2b(digest_size=16)
        for table in ("gold", "done"):
            for row in self._db.execute(f"SELECT * FROM {table} ORDER BY 1"):
                state.update(json.dumps(row).encode())
        return state.hexdigest()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _try(self, entry: dict[str, Any]) -> tuple[bool, dict[str, int]]:
        players = entry.get("players") or [entry.get("player")]
        self._db.execute("SAVEPOINT operation")
        try:
            _OPERATIONS[entry["op"]](self, entry)
            done = True
        except RefusedError:
            self._db.execute("ROLLBACK TO operation")
            done = False
        except (KeyError, TypeError) as error:
            raise ValueError(f"no such operation: {entry!r}") from error
        return done, {name: self._amount(f"player:{name}") for name in players}

    def _open(self, entry: dict[str, Any]) -> None:
        self._move("treasury", f"player:{entry['player']}", OPENING)

    def _hold(self, entry: dict[str, Any]) -> None:
        for name in entry["players"]:
            self._move(f"player:{name}", f"escrow:{entry['match']}:{name}", entry["stake"])

    def _settle(self, entry: dict[str, Any]) -> None:
        for name in entry["players"]:
            self._empty(f"escrow:{entry['match']}:{name}", f"player:{entry['winner']}")
        if defects.GOLD_LEAK in self._planted:
            self._db.execute("UPDATE gold SET amount = amount - 1 WHERE holder = ?", (f"player:{entry['winner']}",))

    def _release(self, entry: dict[str, Any]) -> None:
        for name in entry["players"]:
            self._empty(f"escrow:{entry['match']}:{name}", f"player:{name}")

    def _empty(self, holder: str, to: str) -> None:
        self._move(holder, to, self._amount(holder))
        self._db.execute("DELETE FROM gold WHERE holder = ? AND amount = 0", (holder,))

    def _amount(self, holder: str) -> int:
        row = self._db.execute("SELECT amount FROM gold WHERE holder = ?", (holder,)).fetchone()
        return 0 if row is None else int(row[0])

    def _move(self, giver: str, taker: str, amount: int) -> None:
        """Move gold. Raises RefusedError where there is not enough."""
        if self._amount(giver) < amount:
            raise RefusedError(f"{giver} has less than {amount}")
        self._db.execute("UPDATE gold SET amount = amount - ? WHERE holder = ?", (amount, giver))
        add = "INSERT INTO gold VALUES (?, ?) ON CONFLICT (holder) DO UPDATE SET amount = amount + excluded.amount"
        self._db.execute(add, (taker, amount))


_OPERATIONS = {"open": Bank._open, "hold": Bank._hold, "settle": Bank._settle, "release": Bank._release}
