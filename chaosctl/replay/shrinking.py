"""Delta debugging: the shortest list that still shows something, found by leaving parts of it out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shrunk(Generic[Item]):
    """What is left. `minimal`: none of its items can be left out alone; False where `may_go_on` ended the search."""

    items: tuple[Item, ...]
    minimal: bool


def ddmin(
    items: Sequence[Item],
    shows: Callable[[Sequence[Item]], object],
    may_go_on: Callable[[], bool] = lambda: True,
) -> Shrunk[Item]:
    """Return a sub-sequence for which `shows` is true and none of whose items can be left out alone.

    `shows(items)` is true, which is not asked. After Zeller and Hildebrandt, "Simplifying and isolating
    failure-inducing input" (IEEE TSE 28(2), 2002): parts of half the length, a quarter and so on down to single items
    are left out, each as soon as what remains still shows it. Only complements are tried: at two parts they are the
    parts themselves, and later what is needed seldom lies in one. Asks `may_go_on` before each trial, and ends when it
    says no. At most O(n**2) trials; about 2k log n where k items are needed.
    """
    kept = tuple(items)
    length = (len(kept) + 1) // 2
    while kept:
        before, at = len(kept), 0
        while at < len(kept):
            if not may_go_on():
                return Shrunk(kept, minimal=False)
            rest = kept[:at] + kept[at + length :]
            if shows(rest):
                kept = rest
            else:
                at += length
        if length > 1:
            length = min((length + 1) // 2, max(1, len(kept) // 2))
        elif len(kept) == before:
            break
    return Shrunk(kept, minimal=True)
