"""Elements that a read lists more than once: one acknowledged or attempted effect that took place several times."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from chaosctl.recording.columns import release_unused
from chaosctl.recording.model import History, Int32, Int64, Mark
from chaosctl.verify.measure.reads import irregular_among, parse_ranges
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
    lines = lines_of(history, "read", Mark.OK)
    first, starts, ends = parse_ranges(history.value.take(pa.array(lines)))
    twice: dict[int, Spans] = {}
    found: list[Repeat] = []
    for n in np.flatnonzero(irregular_among(first, starts, ends)).tolist():
        line, span = int(lines[n]), slice(int(first[n]), int(first[n + 1]))
        key, known = int(history.key[line]), twice.get(int(history.key[line]), EMPTY)
        fresh = Spans(starts[span], ends[span]).repeated() - known
        twice[key] = known | fresh
        id, at_ns = int(history.id[line]), int(history.at_ns[line])
        found += [Repeat(history.keys[key], element, id, at_ns) for element in fresh.first(_KEPT - len(found))]
    keys = np.repeat(history.key[lines], np.diff(first))
    release_unused()
    return Repeats(sum(map(len, twice.values())), _different(keys, starts, ends), tuple(found))


def _different(keys: Int32, starts: Int64, ends: Int64) -> int:
    """Return how many different elements the ranges have, those of each key by themselves."""
    order = np.lexsort((starts, keys))
    count, bounds = 0, np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1))
    for low, high in pairwise(bounds.tolist()):
        rows = order[low:high]
        reached = np.maximum.accumulate(ends[rows])
        fresh_from = np.maximum(starts[rows], np.concatenate([[starts[rows[0]]], reached[:-1] + 1]))
        count += int(np.maximum(ends[rows] - fresh_from + 1, 0).sum())
    return count
