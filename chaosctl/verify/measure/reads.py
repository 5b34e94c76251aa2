"""Answered reads of sets as columns: all of them parsed at once, and where each of them has gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaosctl.recording.columns import release_unused
from chaosctl.recording.model import History, Int32, Int64, Mark
from chaosctl.verify.measure.once import once
from chaosctl.verify.measure.sets import RANGES, growing, places_among
from chaosctl.verify.measure.spans import EMPTY, Spans

_ROOM = 1 << 62
Codes = Int64 | Int32


@dataclass(frozen=True)
class Reads:
    """Answered reads in the order in which they were asked for; a read without its invoke is not among them.

    Read n holds the ranges `first[n]` to `first[n + 1]`, sorted and disjoint, both ends included. `line` is its
    answer's line in the history; `irregular` marks those whose text was not sorted and disjoint.
    """

    line: Int64
    id: Int64
    key: Int32
    bot: Int32
    asked_ns: Int64
    answered_ns: Int64
    first: Int64
    starts: Int64
    ends: Int64
    irregular: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of reads."""
        return len(self.id)

    def content(self, n: int) -> Spans:
        """Return what read n contained."""
        span = slice(int(self.first[n]), int(self.first[n + 1]))
        return Spans(self.starts[span], self.ends[span])

    def lengths(self) -> Int64:
        """Return in how many ranges each read is."""
        return np.diff(self.first)


@dataclass(frozen=True)
class Gaps:
    """What reads left out, as ranges [low, high) of places in a `Universe`: `of` is the read that each belongs to."""

    of: Int64
    low: Int64
    high: Int64


@dataclass(frozen=True)
class Universe:
    """Elements by group (a key, or a session), sorted: `place` finds where a read's ranges lie among them."""

    group: Codes
    element: Int64

    def places(self, group: Codes, element: Int64, side: str) -> Int64:
        """Return the places of elements within their groups, as `numpy.searchsorted` would."""
        mine, theirs = _combined((self.group, self.element), (group, element))
        return np.searchsorted(mine, theirs, side=side).astype(np.int64)  # type: ignore[call-overload,no-any-return]

    def covered(self, reads: Reads, group: Codes) -> tuple[Int64, Int64]:
        """Return for each range of the reads (each looked for in its `group`) the places [low, high) that it covers."""
        groups = np.repeat(_wide(group), reads.lengths())
        return self.places(groups, reads.starts, "left"), self.places(groups, reads.ends, "right")

    def gaps(self, reads: Reads, group: Codes) -> Gaps:
        """Return what each read leaves out of its `group`; empty gaps are left out."""
        low, high = self.covered(reads, group)
        begin, end = (np.searchsorted(self.group, group, side=side).astype(np.int64) for side in ("left", "right"))
        gap_low = np.insert(high, reads.first[:-1], begin)
        gap_high = np.insert(low, reads.first[1:], end)
        of = np.repeat(np.arange(len(reads)), reads.lengths() + 1)
        kept = gap_low < gap_high
        return Gaps(of[kept], gap_low[kept], gap_high[kept])


@once
def reads_of(history: History) -> Reads:
    """Return every answered read. Raises ValueError for a read that is not ranges."""
    asked, answered = growing(history, "read", Mark.INVOKE), growing(history, "read", Mark.OK)
    place = places_among(history.id[answered], history.id[asked])
    answered, asked = answered[place >= 0], asked[place[place >= 0]]
    order = np.argsort(history.at_ns[asked], kind="stable")
    answered, asked = answered[order], asked[order]
    first, starts, ends = parse_ranges(history.value.take(pa.array(answered)))
    irregular = irregular_among(first, starts, ends)
    if irregular.any():
        first, starts, ends = _regular(first, starts, ends, irregular)
    release_unused()
    return Reads(
        line=answered,
        id=history.id[answered],
        key=history.key[answered],
        bot=history.bot[answered],
        asked_ns=history.at_ns[asked],
        answered_ns=history.at_ns[answered],
        first=first,
        starts=starts,
        ends=ends,
        irregular=irregular,
    )


def parse_ranges(texts: pa.StringArray) -> tuple[Int64, Int64, Int64]:
    """Parse many "1-340,342" at once, as they stand: where the ranges of each begin, and the starts and ends of all.

    Raises ValueError for a text that is not ranges.
    """
    texts = pc.fill_null(texts, "")
    filled = pc.not_equal(texts, "").to_numpy(zero_copy_only=False)
    texts = texts.filter(pa.array(filled))
    wrong = pc.invert(pc.match_substring_regex(texts, f"^(?:{RANGES.pattern})$"))
    if pc.any(wrong).as_py():
        text = texts.filter(wrong)[0].as_py()
        raise ValueError(f"a read in history.jsonl has the value {text[:40]!r}, which is not ranges such as 1-340,342")
    parts = pc.split_pattern(texts, ",")
    sides = pc.split_pattern(parts.flatten(), "-")
    try:
        numbers = pc.cast(sides.flatten(), pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        raise ValueError("a read in history.jsonl has an element beyond 64 bits") from None
    counts = np.zeros(len(filled), np.int64)
    counts[filled] = np.diff(parts.offsets.to_numpy())
    sides_at = sides.offsets.to_numpy()
    starts, ends = numbers[sides_at[:-1]], numbers[sides_at[1:] - 1]
    if (starts > ends).any():
        at = int(np.flatnonzero(starts > ends)[0])
        text = f"{starts[at]}-{ends[at]}"
        raise ValueError(f"a read in history.jsonl has a range that ends before it starts: {text!r}")
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), starts, ends


def irregular_among(first: Int64, starts: Int64, ends: Int64) -> npt.NDArray[np.bool_]:
    """Return which reads are not sorted and disjoint as they stand."""
    of = np.repeat(np.arange(len(first) - 1), np.diff(first))
    back = (starts[1:] <= ends[:-1]) & (of[1:] == of[:-1])
    marked = np.zeros(len(first) - 1, np.bool_)
    marked[of[1:][back]] = True
    return marked


def _regular(first: Int64, starts: Int64, ends: Int64, irregular: npt.NDArray[np.bool_]) -> tuple[Int64, Int64, Int64]:
    """Sort and join the ranges of the reads that need it."""
    all_starts, all_ends, counts = [], [], np.diff(first)
    upto = 0
    for n in np.flatnonzero(irregular).tolist():
        low, high = int(first[n]), int(first[n + 1])
        mended = Spans(starts[low:high], ends[low:high]) | EMPTY
        all_starts += [starts[upto:low], mended.starts]
        all_ends += [ends[upto:low], mended.ends]
        counts[n] = len(mended.starts)
        upto = high
    starts, ends = (np.concatenate([*parts, rest[upto:]]) for parts, rest in ((all_starts, starts), (all_ends, ends)))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), starts, ends


def _combined(one: tuple[Codes, Int64], other: tuple[Codes, Int64]) -> tuple[Int64, Int64]:
    """Return pairs (group, element) as single numbers in the same order."""
    elements = [pair[1] for pair in (one, other) if len(pair[1])]
    if not elements:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    least, most = min(int(part.min()) for part in elements), max(int(part.max()) for part in elements)
    groups = 1 + max(int(pair[0].max(initial=0)) for pair in (one, other))
    if (most - least + 1) * groups < _ROOM:
        return _joined(one, least, most - least + 1), _joined(other, least, most - least + 1)
    known = np.unique(np.concatenate(elements))
    ranked = [(group, np.searchsorted(known, element).astype(np.int64)) for group, element in (one, other)]
    return _joined(ranked[0], 0, len(known)), _joined(ranked[1], 0, len(known))


def _joined(pair: tuple[Codes, Int64], least: int, room: int) -> Int64:
    """Return group * room + element - least, in place since columns are long."""
    joined = pair[0].astype(np.int64)
    joined *= room
    joined += pair[1]
    joined -= least
    return joined


def _wide(codes: Codes) -> Int64:
    return codes.astype(np.int64, copy=False)
