"""A part of the state: rows by key, with a digest that costs only what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


def canonical(value: Any) -> bytes:
    """Return the one JSON encoding of a value: no spaces, ASCII only, keys as they stand."""
    return json.dumps(value, separators=(",", ":")).encode()


def digest_of(data: bytes) -> bytes:
    """Return 16 bytes of BLAKE2b."""
    return blake2b(data, digest_size=16).digest()


class Table(Generic[Row]):
    """Rows in the order in which they came. Whoever changes a row must `touch` its key."""

    def __init__(self, encode: Callable[[Row], Any]) -> None:
        self._encode = encode
        self._rows: dict[str, Row] = {}
        self._digests: dict[str, bytes] = {}
        self._stale: dict[str, None] = {}
        self._digest: str | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def get(self, key: str) -> Row | None:
        """Return a row, or None."""
        return self._rows.get(key)

    def rows(self) -> list[Row]:
        """Return all rows in order; the list may be kept while the table changes."""
        return list(self._rows.values())

    def put(self, key: str, row: Row) -> Row:
        """Add a row at the end, or replace it where it stands."""
        self._rows[key] = row
        self._digests.setdefault(key, b"")
        self.touch(key)
        return row

    def drop(self, key: str) -> None:
        """Remove a row."""
        del self._rows[key], self._digests[key]
        self._stale.pop(key, None)
        self._digest = None

    def touch(self, key: str) -> None:
        """Say that a row was changed."""
        self._stale[key] = None
        self._digest = None

    def as_json(self) -> dict[str, Any]:
        """Return all rows as JSON-able values, in order."""
        return {key: self._encode(row) for key, row in self._rows.items()}

    def digest(self) -> str:
        """Return the digest of all rows and their order."""
        if self._digest is None:
            for key in self._stale:
                self._digests[key] = digest_of(canonical([key, self._encode(self._rows[key])]))
            self._stale.clear()
            self._digest = digest_of(b"".join(self._digests.values())).hex()
        return self._digest
