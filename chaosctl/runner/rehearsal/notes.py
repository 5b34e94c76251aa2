"""What a dry run notes: calls in words, and numbers that only a run knows."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

# How `concurrent.futures` calls the threads of a pool: with an underline and a number at the end.
_IN_POOL = re.compile(r"\S+_\d+")


@dataclass(frozen=True)
class Call:
    """One thing that a run would do. `at_ns` counts from the start of the load, None before and after it.

    `by` is what it is done for or by (`f1-latency`, `world[0]`, `swarm`), `undo` is what takes it back.
    """

    stage: Literal["up", "load", "after"]
    at_ns: int | None
    by: str
    what: str
    undo: tuple[str, ...] = ()


@dataclass
class Notes:
    """What was asked for, in order."""

    lines: list[tuple[str, bool]] = field(default_factory=list)
    _under: str = ""

    def add(self, line: str) -> None:
        """Note one call."""
        self.lines.append((self._under + line, _IN_POOL.fullmatch(threading.current_thread().name) is not None))

    @contextmanager
    def under(self, condition: str) -> Iterator[None]:
        """Note what comes meanwhile as what is done under a condition."""
        self._under = f"{condition}: "
        try:
            yield
        finally:
            self._under = ""

    def take(self) -> tuple[str, ...]:
        """Return what was noted since the last call. What is done side by side, by the threads of a pool, comes in the
        order of the words."""
        taken, self.lines = self.lines, []
        at_once = iter(sorted(line for line, in_pool in taken if in_pool))
        return tuple(next(at_once) if in_pool else line for line, in_pool in taken)


def request(method: str, url: str, body: Mapping[str, object] | None = None) -> str:
    """Return a request in one line."""
    return f"{method} {url}" + ("" if body is None else f" {json.dumps(dict(body))}")


class Number(int):
    """A number that only a run knows: it is written as what it is called, `<port of world[0].main>`."""

    name: str

    def __new__(cls, name: str) -> Number:
        """Make one of that name."""
        made = super().__new__(cls, 0)
        made.name = name
        return made

    def __str__(self) -> str:
        return self.name
