"""Elements that a read lists more than once: one acknowledged or attempted effect that took place several times."""

from __future__ import annotations

from dataclasses import dataclass

from chaosctl.recording.model import History, Mark
from chaosctl.verify.measure.sets import lines_of
from chaosctl.verify.measure.spans import EMPTY, Spans

_KEPT = 100  # repeated elements that are kept by name; all are counted


@dataclass(frozen=True)
class Repeat:
    """An element that an answered read lists more than once; `at_ns` is when the answer came, in run ns."""

    key: str
    element: int
    read_id: int
    at_ns: int


@dataclass(frozen=True)
class Repeats:
    """How many elements are repeated (each counted once a key), the first of them, and how many elements were read."""

    count: int
    listed: int
    first: tuple[Repeat, ...]


def repeats(history: History) -> Repeats:
    """Look through every answered read. Raises ValueError for a read whose value is not ranges."""
    twice: dict[int, Spans] = {}
    listed: dict[int, Spans] = {}
    first: list[Repeat] = []
    for line in lines_of(history, "read", Mark.OK).tolist():
        key, read = int(history.key[line]), Spans.parse(history.value[line].as_py())
        listed[key] = listed.get(key, EMPTY) | read
        known = twice.get(key, EMPTY)
        fresh = read.repeated() - known
        twice[key] = known | fresh
        id, at_ns = int(history.id[line]), int(history.at_ns[line])
        first += [Repeat(history.keys[key], element, id, at_ns) for element in fresh.first(_KEPT - len(first))]
    return Repeats(sum(map(len, twice.values())), sum(map(len, listed.values())), tuple(first))
