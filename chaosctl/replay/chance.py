"""Chance: how many replays it takes to be nearly sure that two of them part. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

MISSED_AT_MOST = 0.001
LEAST_RUNS = 2
MOST_RUNS = 100


def replays_to_be_sure(seen: Sequence[Hashable]) -> int:
    """Return how many replays are all alike once in a thousand times at most, given some results of `seen` replays.

    Each result is taken to come as often as it was seen. Where all were the same, it is the most that may be asked for.
    """
    shares = [count / len(seen) for count in Counter(seen).values()]
    for runs in range(LEAST_RUNS, MOST_RUNS):
        if sum(share**runs for share in shares) <= MISSED_AT_MOST:
            return runs
    return MOST_RUNS
