"""A set of positive integers that are mostly consecutive, kept as a few ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class Ranges:
    """Sorted, disjoint, inclusive ranges. As text: `1-340,342`; the empty set is the empty string."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self.pairs = [(low, high) for low, high in pairs]

    def __contains__(self, n: int) -> bool:
        at = self._at(n)
        return at > 0 and n <= self.pairs[at - 1][1]

    def __len__(self) -> int:
        """Return how many ranges there are."""
        return len(self.pairs)

    def __str__(self) -> str:
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.pairs)

    def add(self, n: int) -> None:
        """Add a number; one that is there already changes nothing."""
        if n in self:
            return
        at = self._at(n)
        low = high = n
        if at < len(self.pairs) and self.pairs[at][0] == n + 1:
            high = self.pairs.pop(at)[1]
        if at > 0 and self.pairs[at - 1][1] == n - 1:
            at -= 1
            low = self.pairs.pop(at)[0]
        self.pairs.insert(at, (low, high))

    def _at(self, n: int) -> int:
        return bisect_right(self.pairs, n, key=lambda pair: pair[0])
