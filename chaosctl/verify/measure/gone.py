"""Elements of sets that reads no longer have, though they were acknowledged or had been read; and those that came back.

An element is known to be in its set once its add was acknowledged or a read that has it was answered; a read that was
asked for later and lacks it says that it is gone. An add of unknown outcome that no read has shown is neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from chaosctl.recording.model import History, Int64
from chaosctl.verify.measure.extent import least_within, lowered_to
from chaosctl.verify.measure.reads import Reads, Universe, reads_of
from chaosctl.verify.measure.sets import Adds, adds_of
from chaosctl.verify.measure.spans import EMPTY, Spans

_UNMERGED = 64  # ranges that may pile up before they are merged, which costs a sort
KEPT = 100  # elements that are kept by name; all are counted


@dataclass(frozen=True)
class Gone:
    """Acknowledged elements that are gone, as parallel columns: `row` of the adds, `read` of the reads that was the
    first to lack it, and when the read before that one, which had it, was asked for (-1: there was none)."""

    row: Int64
    read: Int64
    had_ns: Int64

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self.row)


@dataclass(frozen=True)
class Returned:
    """An element that one read lacked, though it had been acknowledged or read, and a later one has again."""

    key: str
    element: int
    lacking_id: int
    lacking_ns: int
    again_id: int
    again_ns: int


@dataclass
class Histories:
    """What was gone in the sets of a history, and what came back: all are counted, the first are named."""

    adds: Adds
    reads: Reads
    gone: Gone
    returned_count: int = 0
    returned: list[Returned] = field(default_factory=list)


def gone_of(history: History) -> Histories:
    """Go through every set. Raises ValueError for values outside the vocabulary."""
    adds, reads = adds_of(history), reads_of(history)
    known_ns, suspect = _screened(adds, reads)
    found = Histories(adds, reads, _NOTHING)
    parts: list[Gone] = []
    by_key = np.argsort(reads.key, kind="stable")
    begins, ends = (np.searchsorted(reads.key[by_key], suspect, side=side) for side in ("left", "right"))
    for key, begin, end in zip(suspect.tolist(), begins.tolist(), ends.tolist(), strict=True):
        parts += _follow(history, found, known_ns, key, by_key[begin:end])
    if parts:
        columns = ([getattr(part, name) for part in parts] for name in ("row", "read", "had_ns"))
        found.gone = Gone(*(np.concatenate(column) for column in columns))
    return found


def _screened(adds: Adds, reads: Reads) -> tuple[Int64, Int64]:
    """Return since when each attempted add is known to be in its set (NEVER), and the keys where something is gone."""
    universe = Universe(adds.key.astype(np.int64), adds.element)
    group = reads.key.astype(np.int64)
    low, high = universe.covered(reads, group)
    filled = low < high
    answered_ns = np.repeat(reads.answered_ns, reads.lengths())
    seen_ns = lowered_to(len(adds.key), low[filled], high[filled], answered_ns[filled])
    known_ns = np.where(adds.acked_ns >= 0, np.minimum(adds.acked_ns, seen_ns), seen_ns)
    gaps = universe.gaps(reads, group)
    lacking = least_within(known_ns, gaps.low, gaps.high) < reads.asked_ns[gaps.of]
    return known_ns, np.unique(group[gaps.of[lacking]])


def _follow(history: History, found: Histories, known_ns: Int64, key: int, part: Int64) -> Iterator[Gone]:
    """Go through the reads of one key (`part`) in the order in which they were asked for."""
    adds, reads = found.adds, found.reads
    first, last = np.searchsorted(adds.key, (key, key + 1)).tolist()
    element, known_ns = adds.element[first:last], known_ns[first:last]
    order = np.argsort(known_ns, kind="stable")
    since_ns, joining = known_ns[order], element[order]
    must, out, upto, merged = EMPTY, _Out(), 0, 0
    before_ns = -1
    for n in part.tolist():
        asked_ns, content = int(reads.asked_ns[n]), reads.content(n)
        until = int(np.searchsorted(since_ns, asked_ns, side="left"))
        must = must.and_also(joining[upto:until], joining[upto:until])
        upto = until
        if len((back := out.take_back(history, found, key, n, content)).starts):
            must |= back
        if len(must.starts) > 2 * merged + _UNMERGED:
            must |= EMPTY
            merged = len(must.starts)
        if not content.covers(must) and len(missing := must - content):
            must -= missing
            out.put(missing, n, int(reads.answered_ns[n]))
            yield _acknowledged(adds, first, _places(element, missing) + first, n, asked_ns, before_ns)
        before_ns = asked_ns


def _acknowledged(adds: Adds, first: int, rows: Int64, n: int, asked_ns: int, before_ns: int) -> Gone:
    acked_ns = adds.acked_ns[rows]
    rows = rows[(acked_ns >= 0) & (acked_ns < asked_ns)]
    had_ns = np.where(adds.acked_ns[rows] < before_ns, before_ns, -1)
    return Gone(rows, np.full(len(rows), n, np.int64), had_ns)


def _places(element: Int64, spans: Spans) -> Int64:
    """Return the places in `element` (sorted) of what is in the spans."""
    low, high = np.searchsorted(element, spans.starts), np.searchsorted(element, spans.ends, side="right")
    return np.concatenate([np.arange(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)])


class _Out:
    """What is gone from one set for the time being, and the reads that lacked it."""

    def __init__(self) -> None:
        self._spans = EMPTY
        self._lacking: list[tuple[Spans, int]] = []
        self._since_ns = -1

    def put(self, missing: Spans, n: int, answered_ns: int) -> None:
        self._spans |= missing
        self._lacking.append((missing, n))
        self._since_ns = max(self._since_ns, answered_ns)

    def take_back(self, history: History, found: Histories, key: int, n: int, content: Spans) -> Spans:
        """Return what the read n has again. One that overlaps with the read that lacked it says nothing."""
        asked_ns = int(found.reads.asked_ns[n])
        if not len(self._spans.starts) or asked_ns <= self._since_ns or not _touches(content, self._spans):
            return EMPTY
        back = self._spans - (self._spans - content)
        self._spans -= back
        found.returned_count += len(back)
        for element in back.first(KEPT - len(found.returned)):
            lacking = next(m for spans, m in reversed(self._lacking) if spans.covers(Spans.of(np.array([element]))))
            lacking_id, lacking_ns = int(found.reads.id[lacking]), int(found.reads.asked_ns[lacking])
            again_id = int(found.reads.id[n])
            found.returned.append(Returned(history.keys[key], element, lacking_id, lacking_ns, again_id, asked_ns))
        return back


def _touches(content: Spans, spans: Spans) -> bool:
    """Say whether two sorted disjoint sets of ranges have anything in common."""
    if not len(content.starts):
        return False
    place = np.searchsorted(content.starts, spans.ends, side="right") - 1
    return bool(((place >= 0) & (content.ends[place] >= spans.starts)).any())


_NOTHING = Gone(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
