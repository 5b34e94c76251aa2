"""Bisecting: between the last digest that is equal and the first that differs, which ticks to look at closely. Pure."""

from __future__ import annotations

from collections.abc import Callable

from chaosctl.recording.digests import Divergence

# So many states are printed at most to find the very tick: a state may be large.
MOST_STATES = 64


def around(parted: Divergence) -> tuple[int, int]:
    """Return the first and last tick to print states for: from the last equal digest to just after the first other."""
    low = parted.tick - MOST_STATES if parted.after is None else max(parted.after, parted.tick - MOST_STATES)
    return max(0, low), parted.tick + 1


def bisected(parted: Divergence, differs: Callable[[int], bool]) -> tuple[int, int]:
    """Return that window where digests lie far apart, too.

    `differs(tick)` is asked about single ticks in between, about log2 of the distance of them, until the first that
    differs lies among at most `MOST_STATES`.
    """
    if parted.after is None:
        return around(parted)
    low, high = parted.after, parted.tick
    while high - low > MOST_STATES:
        middle = (low + high) // 2
        if differs(middle):
            high = middle
        else:
            low = middle
    return low, high + 1
