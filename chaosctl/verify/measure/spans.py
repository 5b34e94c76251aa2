"""Sets of integers as ranges in columns, so that a set of a million elements costs no more than its ranges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import Int64
from chaosctl.verify.measure.sets import RANGES


@dataclass(frozen=True)
class Spans:
    """Ranges with both ends included, in any order; they may overlap, which is what `repeated` looks for."""

    starts: Int64
    ends: Int64

    @classmethod
    def parse(cls, text: str | None) -> Spans:
        """Read "1-340,342,1" as it stands, repeats kept. Raises ValueError for anything that is not such ranges."""
        if not text:
            return EMPTY
        if not RANGES.fullmatch(text):
            raise ValueError(f"a read in history.jsonl has the value {text[:40]!r}, which is not ranges like 1-340,342")
        pairs = [(int(low), int(high or low)) for low, _, high in (part.partition("-") for part in text.split(","))]
        bounds = np.array(pairs, dtype=np.int64)
        if (bounds[:, 0] > bounds[:, 1]).any():
            raise ValueError(f"a read in history.jsonl has a range that ends before it starts: {text[:40]!r}")
        return cls(bounds[:, 0], bounds[:, 1])

    @classmethod
    def of(cls, elements: Int64) -> Spans:
        """Return the set of these elements, as few ranges as possible."""
        return cls(elements, elements) | EMPTY

    def __or__(self, other: Spans) -> Spans:
        """Return what is in either, as sorted disjoint ranges."""
        edges = self._edges(other)
        return _runs(edges, (self._depth(edges) > 0) | (other._depth(edges) > 0))

    def __sub__(self, other: Spans) -> Spans:
        """Return what is in this and not in the other, as sorted disjoint ranges."""
        edges = self._edges(other)
        return _runs(edges, (self._depth(edges) > 0) & (other._depth(edges) == 0))

    def and_also(self, starts: Int64, ends: Int64) -> Spans:
        """Return these ranges and those, unsorted and unmerged: as cheap as can be."""
        return Spans(np.concatenate([self.starts, starts]), np.concatenate([self.ends, ends]))

    def covers(self, other: Spans) -> bool:
        """Say whether all of the other is in this, which must be sorted, disjoint and merged."""
        if not len(self.starts):
            return not len(other.starts)
        place = np.searchsorted(self.starts, other.starts, side="right") - 1
        return bool(((place >= 0) & (other.ends <= self.ends[place])).all())

    def has(self, elements: Int64) -> npt.NDArray[np.bool_]:
        """Say of each element whether it is in this, which must be sorted and disjoint."""
        if not len(self.starts):
            return np.zeros(len(elements), np.bool_)
        place = np.searchsorted(self.starts, elements, side="right") - 1
        inside: npt.NDArray[np.bool_] = (place >= 0) & (elements <= self.ends[place])
        return inside

    def __len__(self) -> int:
        """Return the number of elements of sorted disjoint ranges."""
        return int((self.ends - self.starts + 1).sum())

    def repeated(self) -> Spans:
        """Return what is in more than one of the ranges, as sorted disjoint ranges."""
        edges = self._edges(EMPTY)
        return _runs(edges, self._depth(edges) > 1)

    def first(self, limit: int) -> list[int]:
        """Return the first elements, at most `limit`, without spelling out long ranges."""
        found: list[int] = []
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            found += range(start, min(end, start + limit) + 1)
            if len(found) >= limit:
                break
        return found[:limit]

    def _edges(self, other: Spans) -> Int64:
        """Return every place where the depth of either may change."""
        return np.unique(np.concatenate([self.starts, self.ends + 1, other.starts, other.ends + 1]))

    def _depth(self, edges: Int64) -> Int64:
        """Return in how many ranges each stretch lies that begins at an edge."""
        begun = np.searchsorted(np.sort(self.starts), edges, side="right")
        over = np.searchsorted(np.sort(self.ends) + 1, edges, side="right")
        return (begun - over).astype(np.int64)


EMPTY = Spans(np.empty(0, np.int64), np.empty(0, np.int64))


def _runs(edges: Int64, kept: npt.NDArray[np.bool_]) -> Spans:
    """Join neighbouring stretches that are kept. Nothing is kept from the last edge on: every range ended there."""
    turns = np.diff(np.concatenate([[0], kept.astype(np.int8)]))
    return Spans(edges[turns == 1], edges[turns == -1] - 1)
