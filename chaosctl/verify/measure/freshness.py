"""How long reads of sets stayed behind what had been acknowledged: until all are complete, and at most for a while.

A read should have all that had been acknowledged before it was asked for. One that does not is *behind*. An element
that some are behind with and that is in a read asked for later was only late (stale); one that no later read has is
lost, and a set with a lost element never converges. Who read is of no account: replicas agree when all are complete.
An add of unknown outcome counts from the first answer on that shows it, if that was asked for after the last fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import History, Int64
from chaosctl.verify.measure.extent import NEVER, least_within, lowered_to
from chaosctl.verify.measure.reads import Gaps, Reads, Universe, reads_of
from chaosctl.verify.measure.sets import Adds, adds_of


@dataclass(frozen=True)
class Settled:
    """A key whose reads, all that were asked for from some moment on, are complete.

    `least_ns` is when the last read that is behind was asked for (the beginning, if none is), `seen_ns` when the first
    one after it was; None: there is none. `behind_id` and `element` are of the last read that is behind, and what it
    lacks.
    """

    key: str
    least_ns: int
    seen_ns: int | None
    reads: int
    behind_id: int | None = None
    element: int | None = None


@dataclass(frozen=True)
class Stale:
    """An element that reads lacked, and later ones had. Times of reads are when they were asked for.

    It was there by `from_ns` (its acknowledgement, or the read before that still had it), missing from `first_ns`
    (`first_id`) to `last_ns` (`last_id`), and there for good, or until it was lost, from `found_ns` (`found_id`) on.
    """

    key: str
    element: int
    from_ns: int
    first_id: int
    first_ns: int
    last_id: int
    last_ns: int
    found_id: int
    found_ns: int


@dataclass(frozen=True)
class Staleness:
    """What was late: so many `elements`, of which `longest` may have been so for longest; one surely for `least_ns`.

    `judged` reads had something to show. `blind_ns` is the longest time for which nobody read a key to which something
    had been added: what happened in between is not known. `open_ns` is the longest time for which something may have
    been missing up to the last read of its key: whether it was late or lost is not known.
    """

    judged: int
    elements: int
    least_ns: int
    longest: Stale | None
    blind_ns: int
    blind_key: str
    open_ns: int = 0
    open_key: str = ""


def last_acknowledged_ns(history: History) -> int:
    """Return when the last add was acknowledged, in run ns; 0 if none was."""
    return int(adds_of(history).acked_ns.max(initial=0))


def settled(history: History, from_ns: int) -> list[Settled]:
    """Say for each key that was read after `from_ns` since when it is complete. Raises ValueError for odd values."""
    adds, reads = adds_of(history), reads_of(history)
    universe = Universe(adds.key, adds.element)
    since_ns = _since(adds, reads, universe, from_ns)
    gaps, behind = _behind(universe, reads, since_ns)
    gaps = Gaps(gaps.of[behind], gaps.low[behind], gaps.high[behind])
    is_behind = np.zeros(len(reads), np.bool_)
    is_behind[gaps.of] = True
    found = []
    rows = np.argsort(reads.key, kind="stable")  # within a key by when they were asked for
    of_key = reads.key[rows]
    for key in _added_to(adds, since_ns).tolist():
        mine = rows[slice(*np.searchsorted(of_key, [key, key + 1]))]
        mine = mine[reads.asked_ns[mine] >= from_ns]
        late = np.flatnonzero(is_behind[mine])
        after = mine[late[-1] + 1 :] if len(late) else mine
        # What is asked for at the same moment as the last read that is behind may be complete, and says nothing.
        least_ns = int(reads.asked_ns[mine[late[-1]]]) if len(late) else from_ns
        seen_ns = int(reads.asked_ns[after[0]]) if len(after) else None
        example = _example(gaps, reads, adds, since_ns, int(mine[late[-1]])) if len(late) else (None, None)
        found.append(Settled(history.keys[key], least_ns, seen_ns, len(mine), *example))
    return found


def _added_to(adds: Adds, since_ns: Int64) -> Int64:
    return np.unique(adds.key[since_ns < NEVER]).astype(np.int64)


def _example(gaps: Gaps, reads: Reads, adds: Adds, since_ns: Int64, n: int) -> tuple[int, int]:
    """Return the id of a read that is behind, and the first element that it lacks."""
    at = int(np.flatnonzero(gaps.of == n)[0])
    span = slice(int(gaps.low[at]), int(gaps.high[at]))
    place = span.start + int(np.flatnonzero(since_ns[span] < reads.asked_ns[n])[0])
    return int(reads.id[n]), int(adds.element[place])


def _since(adds: Adds, reads: Reads, universe: Universe, from_ns: int) -> Int64:
    """Return since when each add must show; NEVER for one of unknown outcome that nobody saw after `from_ns`."""
    since_ns = np.where(adds.acked_ns >= 0, adds.acked_ns, NEVER)
    if (adds.acked_ns >= 0).all():
        return since_ns
    low, high = universe.covered(reads, reads.key)
    asked_ns, answered_ns = (np.repeat(one, reads.lengths()) for one in (reads.asked_ns, reads.answered_ns))
    late = asked_ns >= from_ns
    shown_ns = lowered_to(len(since_ns), low[late], high[late], answered_ns[late])
    return np.where(adds.acked_ns >= 0, since_ns, shown_ns)


def _behind(universe: Universe, reads: Reads, since_ns: Int64) -> tuple[Gaps, npt.NDArray[np.bool_]]:
    """Return all gaps, and which of them lack something that must show."""
    gaps = universe.gaps(reads, reads.key)
    return gaps, least_within(since_ns, gaps.low, gaps.high) < reads.asked_ns[gaps.of]


def staleness(history: History) -> Staleness:
    """Find the element that was late for longest. Raises ValueError for values outside the vocabulary."""
    adds, reads = adds_of(history), reads_of(history)
    since_ns = np.where(adds.acked_ns >= 0, adds.acked_ns, NEVER)
    first_ns, last_ns = _acknowledged(adds, len(history.keys))
    judged = int((reads.asked_ns > first_ns[reads.key]).sum())
    blind_ns, blind_key = _blind(reads, first_ns, last_ns)
    named = history.keys[blind_key] if blind_key >= 0 else ""
    before, after = _neighbours(reads)
    first, last, open_ns, open_key = _late(adds, reads, since_ns, after)
    still = history.keys[open_key] if open_key >= 0 else ""
    late = np.flatnonzero(first >= 0)
    if not len(late):
        return Staleness(judged, 0, 0, None, blind_ns, named, open_ns, still)
    first, last = first[late], last[late]
    from_ns = np.maximum(since_ns[late], np.where(before[first] >= 0, reads.asked_ns[before[first]], 0))
    found = after[last]  # it has the element: the read before it is the last one that does not
    at = int(np.argmax(reads.asked_ns[found] - from_ns))
    longest = Stale(
        key=history.keys[adds.key[late[at]]],
        element=int(adds.element[late[at]]),
        from_ns=int(from_ns[at]),
        first_id=int(reads.id[first[at]]),
        first_ns=int(reads.asked_ns[first[at]]),
        last_id=int(reads.id[last[at]]),
        last_ns=int(reads.asked_ns[last[at]]),
        found_id=int(reads.id[found[at]]),
        found_ns=int(reads.asked_ns[found[at]]),
    )
    least_ns = int((reads.asked_ns[last] - reads.asked_ns[first]).max())
    return Staleness(judged, len(late), least_ns, longest, blind_ns, named, open_ns, still)


def _late(adds: Adds, reads: Reads, since_ns: Int64, after: Int64) -> tuple[Int64, Int64, int, int]:
    """Return the first and the last read that lacks each element though a read asked for later has it; -1 for none.
    And for how long at most something was missing up to the last read of its key (the one with none `after` it), and
    the key; 0 and -1 if nothing was.

    Where no read lacks anything, the first two are empty.
    """
    universe = Universe(adds.key, adds.element)
    gaps, behind = _behind(universe, reads, since_ns)
    which = np.flatnonzero(behind)
    first, last = np.full((2, len(since_ns) if len(which) else 0), -1, np.int64)
    open_ns, open_key = 0, -1
    if not len(which):
        return first, last, open_ns, open_key
    latest = _latest_showing(universe, reads, len(since_ns))
    of_key = reads.key[gaps.of[which]]
    for key in np.unique(of_key).tolist():
        begin, end = np.searchsorted(adds.key, [key, key + 1]).tolist()
        # From some place on, everything was acknowledged later than a read was asked for: no need to look there.
        rest_ns = np.minimum.accumulate(since_ns[begin:end][::-1])[::-1]
        mine = which[of_key == key]
        for n, low, high in zip(gaps.of[mine].tolist(), gaps.low[mine].tolist(), gaps.high[mine].tolist(), strict=True):
            asked_ns = reads.asked_ns[n]
            high = min(high, begin + int(np.searchsorted(rest_ns, asked_ns)))
            missing = low + np.flatnonzero(since_ns[low:high] < asked_ns)
            if after[n] < 0 and len(missing):
                had_ns = np.where(latest[missing] >= 0, reads.asked_ns[latest[missing]], -1)
                missing_ns = int(asked_ns - np.maximum(since_ns[missing], had_ns).min())
                open_ns, open_key = max((open_ns, open_key), (missing_ns, key))
            places = missing[latest[missing] > n]
            last[places] = n
            first[places[first[places] < 0]] = n
    return first, last, open_ns, open_key


def _latest_showing(universe: Universe, reads: Reads, length: int) -> Int64:
    """Return the last read (by when it was asked for) that has each element; -1 for what no read has."""
    low, high = universe.covered(reads, reads.key)
    of = np.repeat(np.arange(len(reads)), reads.lengths())
    turned = lowered_to(length, low, high, -of)
    return np.where(turned == NEVER, -1, -turned)


def _neighbours(reads: Reads) -> tuple[Int64, Int64]:
    """Return for each read the one of its key before it and the one after it, by when they were asked for; or -1."""
    rows = np.argsort(reads.key, kind="stable")
    same = reads.key[rows][1:] == reads.key[rows][:-1]
    before, after = np.full((2, len(rows)), -1, np.int64)
    before[rows[1:]] = np.where(same, rows[:-1], -1)
    after[rows[:-1]] = np.where(same, rows[1:], -1)
    return before, after


def _acknowledged(adds: Adds, keys: int) -> tuple[Int64, Int64]:
    """Return for each key when the first add was acknowledged (NEVER if none), and when the last one (-1 if none)."""
    sure = adds.acked_ns >= 0
    first_ns, last_ns = np.full(keys, NEVER, np.int64), np.full(keys, -1, np.int64)
    np.minimum.at(first_ns, adds.key[sure], adds.acked_ns[sure])
    np.maximum.at(last_ns, adds.key[sure], adds.acked_ns[sure])
    return first_ns, last_ns


def _blind(reads: Reads, first_ns: Int64, last_ns: Int64) -> tuple[int, int]:
    """Return the longest time for which a key that held something was not read, and the key; 0 and -1 if none did."""
    held = np.flatnonzero(last_ns >= 0)
    # As if each key had been read when something was first there, and, if somebody added to it later, in the end.
    keys = np.concatenate([reads.key, held, held])
    asked_ns = np.concatenate([np.maximum(reads.asked_ns, first_ns[reads.key]), first_ns[held], last_ns[held]])
    kept = last_ns[keys] >= 0
    keys, asked_ns = keys[kept], asked_ns[kept]
    order = np.lexsort((asked_ns, keys))
    keys, asked_ns = keys[order], asked_ns[order]
    apart_ns = np.where(np.diff(keys) == 0, np.diff(asked_ns), 0)
    at = int(np.argmax(apart_ns)) if len(apart_ns) else -1
    return (int(apart_ns[at]), int(keys[at])) if at >= 0 else (0, -1)
