"""Sets that bots added to and read back: what is lost, unseen or extra. Columns all the way, for long histories."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaosctl.recording.columns import release_unused
from chaosctl.recording.model import History, Int64, Mark
from chaosctl.verify.measure.once import once

_KEPT = 100  # lost and extra elements that are kept by name; all are counted
RANGES = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*")
Bools = npt.NDArray[np.bool_]
_NEVER_NS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Lost:
    """An acknowledged element (`id` is its add) that a read asked for later does not have. Times are run ns."""

    key: str
    element: int
    bot: str
    id: int
    acked_ns: int
    read_id: int
    read_ns: int


@dataclass(frozen=True)
class Phantom:
    """An element in a read that nobody tried to add."""

    key: str
    element: int
    read_id: int


@dataclass
class SetsReadBack:
    """What the reads say about the adds. `lost` (oldest first) and `phantoms` hold the first of what is counted."""

    acknowledged: int = 0
    keys_read: int = 0
    lost_count: int = 0
    unseen: int = 0
    phantom_count: int = 0
    lost: list[Lost] = field(default_factory=list)
    phantoms: list[Phantom] = field(default_factory=list)


@dataclass(frozen=True)
class Adds:
    """Attempted adds as parallel columns, sorted by key and element. `acked_ns` is -1 where it was not acknowledged.

    `asked_ns` of an acknowledgement without its invoke is the acknowledgement itself.
    """

    key: npt.NDArray[np.int32]
    element: Int64
    id: Int64
    bot: npt.NDArray[np.int32]
    asked_ns: Int64
    acked_ns: Int64


@dataclass(frozen=True)
class _Read:
    """A key's last answered read: asked for at `asked_ns`; the set as sorted disjoint ranges, both ends included."""

    id: int
    asked_ns: int
    starts: Int64
    ends: Int64

    def has(self, elements: Int64) -> Bools:
        place = np.searchsorted(self.starts, elements, side="right") - 1
        inside: Bools = (
            (place >= 0) & (elements <= self.ends[place]) if len(self.starts) else np.zeros(len(elements), bool)
        )
        return inside


def read_back(history: History) -> SetsReadBack:
    """Compare every key's acknowledged adds with its last read. Raises ValueError for values outside the vocabulary."""
    adds, reads = adds_of(history), _last_reads(history)
    result = SetsReadBack(acknowledged=int((adds.acked_ns >= 0).sum()), keys_read=len(reads))
    bounds = np.searchsorted(adds.key, np.arange(len(history.keys) + 1, dtype=np.int32))
    for key in range(len(history.keys)):
        span = slice(int(bounds[key]), int(bounds[key + 1]))
        read = reads.get(key)
        if read is None:
            result.unseen += int((adds.acked_ns[span] >= 0).sum())
        else:
            _compare(result, history, key, adds, span, read)
    result.lost.sort(key=lambda lost: (lost.acked_ns, lost.id))
    return result


def _compare(result: SetsReadBack, history: History, key: int, adds: Adds, span: slice, read: _Read) -> None:
    elements, acked_ns = adds.element[span], adds.acked_ns[span]
    there = read.has(elements)
    gone = (acked_ns >= 0) & ~there
    lost = gone & (acked_ns < read.asked_ns)
    result.unseen += int((gone & ~lost).sum())
    result.lost_count += int(lost.sum())
    rows = np.flatnonzero(lost)
    for row in rows[np.argsort(acked_ns[rows], kind="stable")][:_KEPT]:
        at = span.start + int(row)
        bot = history.bots[adds.bot[at]]
        name = history.keys[key]
        result.lost.append(
            Lost(name, int(adds.element[at]), bot, int(adds.id[at]), int(adds.acked_ns[at]), read.id, read.asked_ns)
        )
    known = np.unique(elements[there])
    extra = int((read.ends - read.starts + 1).sum()) - len(known)
    result.phantom_count += extra
    if extra and len(result.phantoms) < _KEPT:
        result.phantoms += [Phantom(history.keys[key], element, read.id) for element in _outside(read, known)]


def _outside(read: _Read, known: Int64) -> list[int]:
    """Return the first elements of a read that are not `known` (sorted), without spelling out long ranges."""
    found: list[int] = []
    for start, end in zip(read.starts.tolist(), read.ends.tolist(), strict=True):
        stop = min(end, start + len(known) + _KEPT)
        found += np.setdiff1d(np.arange(start, stop + 1, dtype=np.int64), known).tolist()
        if len(found) >= _KEPT:
            break
    return found[:_KEPT]


def lines_of(history: History, f: str, *marks: Mark) -> Int64:
    """Return the indices of the lines of one kind with one of these marks, in file order."""
    if f not in history.fs:
        return np.empty(0, np.int64)
    of_kind = history.f == history.fs.index(f)
    wanted = np.zeros(len(Mark), bool)
    wanted[[int(mark) for mark in marks]] = True
    return np.flatnonzero(of_kind & wanted[history.mark])


def growing(history: History, f: str, *marks: Mark) -> Int64:
    """Return the lines of sets from which nothing is ever taken: what was in one of them must stay in it."""
    lines = lines_of(history, f, *marks)
    if "remove" not in history.fs:
        return lines
    shrinks = np.zeros(len(history.keys), bool)
    shrinks[history.key[history.f == history.fs.index("remove")]] = True
    return lines[~shrinks[history.key[lines]]]


def places_among(ids: Int64, among: Int64) -> Int64:
    """Return for each of `ids` the place of its equal in `among`, -1 where there is none."""
    if not len(among):
        return np.full(len(ids), -1, np.int64)
    order = None if (among[1:] >= among[:-1]).all() else np.argsort(among, kind="stable")
    place = np.minimum(np.searchsorted(among, ids, sorter=order), len(among) - 1)
    found = place if order is None else order[place]
    return np.where(among[found] == ids, found, -1)


@once
def adds_of(history: History) -> Adds:
    """Return every attempt to add to a set that only grows, sorted by key and element.

    An acknowledgement whose invoke is not in the recording stands for its own attempt, if it names its element."""
    lines, acked_ns = _attempts(history)
    element = _elements(history, lines)
    order = np.lexsort((element, history.key[lines]))
    element, acked_ns, lines = element[order], acked_ns[order], lines[order]
    del order  # it is as long as each of the columns
    release_unused()
    return Adds(history.key[lines], element, history.id[lines], history.bot[lines], history.at_ns[lines], acked_ns)


def first_asked(history: History, adds: Adds) -> Int64:
    """Return for each add when its element was first asked for, whichever attempt took effect: what was tried again is
    there since the first attempt, for all that anybody knows. Attempts that failed had no effect.

    This is the column of the adds itself where nothing was tried twice.
    """
    again = (adds.key[1:] == adds.key[:-1]) & (adds.element[1:] == adds.element[:-1])
    if not again.any():
        return adds.asked_ns
    failed = np.isin(adds.id, history.id[growing(history, "add", Mark.FAIL)])
    begins = np.flatnonzero(np.concatenate([[True], ~again]))
    least_ns = np.minimum.reduceat(np.where(failed, _NEVER_NS, adds.asked_ns), begins)
    least_ns = np.repeat(least_ns, np.diff(begins, append=len(adds.id)))
    return np.where(least_ns < _NEVER_NS, least_ns, adds.asked_ns)


def _attempts(history: History) -> tuple[Int64, Int64]:
    """Return the lines that stand for attempts to add, and when each was acknowledged; -1 where it was not."""
    asked, acked = growing(history, "add", Mark.INVOKE), growing(history, "add", Mark.OK)
    place = places_among(history.id[acked], history.id[asked])
    acked_ns = np.full(len(asked), -1, np.int64)
    acked_ns[place[place >= 0]] = history.at_ns[acked[place >= 0]]
    orphans = acked[place < 0]
    if not len(orphans):
        return asked, acked_ns
    orphans = orphans[history.value.take(pa.array(orphans)).is_valid().to_numpy(zero_copy_only=False)]
    return np.concatenate([asked, orphans]), np.concatenate([acked_ns, history.at_ns[orphans]])


def _elements(history: History, lines: Int64) -> Int64:
    try:
        element = pc.cast(history.value.take(pa.array(lines)), pa.int64()).to_numpy(zero_copy_only=False)
        return element.astype(np.int64, casting="safe", copy=False)  # type: ignore[no-any-return]
    except (pa.ArrowInvalid, TypeError):
        raise ValueError("an add in history.jsonl has a value that is not a decimal integer") from None


def _last_reads(history: History) -> dict[int, _Read]:
    """Return by key the answered read that was asked for last. A read without its invoke is not counted."""
    asked, answered = growing(history, "read", Mark.INVOKE), growing(history, "read", Mark.OK)
    place = places_among(history.id[answered], history.id[asked])
    answered, asked = answered[place >= 0], asked[place[place >= 0]]
    order = np.lexsort((history.at_ns[answered], history.at_ns[asked]))
    keys, from_the_end = np.unique(history.key[answered[order]][::-1], return_index=True)
    reads = {}
    for key, i in zip(keys.tolist(), order[::-1][from_the_end].tolist(), strict=True):
        starts, ends = _ranges(history.value[int(answered[i])].as_py())
        reads[key] = _Read(int(history.id[answered[i]]), int(history.at_ns[asked[i]]), starts, ends)
    return reads


def _ranges(text: str | None) -> tuple[Int64, Int64]:
    """Parse "1-340,342" into sorted disjoint ranges."""
    if not text:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if not RANGES.fullmatch(text):
        raise ValueError(f"a read in history.jsonl has the value {text[:40]!r}, which is not ranges such as 1-340,342")
    pairs = sorted((int(low), int(high or low)) for low, _, high in (part.partition("-") for part in text.split(",")))
    merged: list[list[int]] = []
    for low, high in pairs:
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    bounds = np.array(merged, dtype=np.int64)
    return bounds[:, 0], bounds[:, 1]
