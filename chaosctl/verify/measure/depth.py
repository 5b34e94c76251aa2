"""How deep each fault rolled the state back: what had been acknowledged and is gone, whether that is the end of what
each writer did, and when readers saw it.

What is gone belongs to the first fault that struck after it was last known to be there; where readers had it still
after that fault, to the last fault before it was missing. Holes are looked for in the very read that first lacks an
element: it has another one of the same writer that was first begun after the missing one had been acknowledged, and
was itself acknowledged before the fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import History, Int32, Int64, Mark
from chaosctl.verify.measure.gone import Histories, gone_of
from chaosctl.verify.measure.sets import first_asked, lines_of
from chaosctl.verify.measure.spans import Spans


@dataclass(frozen=True)
class Element:
    """An element that is gone, with the add that was acknowledged (`id`) and the read that lacks it. Times are run ns.

    `kept`, `kept_id`: what the same writer did later, and is still there; None where it is no hole.
    """

    key: str
    element: int
    bot: str
    id: int
    acked_ns: int
    read_id: int
    read_ns: int
    kept: int | None = None
    kept_id: int | None = None


@dataclass(frozen=True)
class Moment:
    """A run time at which something was seen, by line `id` of the history; nobody had looked for `gap_ns` before."""

    at_ns: int
    gap_ns: int
    id: int


@dataclass(frozen=True)
class Depth:
    """What one fault took. `acknowledged`: since the fault before; `unseen`: of all that was acknowledged before it and
    not missed since then, what is in sets that nobody read after it was over.

    `oldest_ns` is when the oldest of what is gone was acknowledged. A reader first missed something at `observed`; from
    `settled` on nothing more was missed for the first time.
    """

    acknowledged: int
    unseen: int
    gone: int
    holes: int
    oldest_ns: int | None
    observed: Moment | None
    settled: Moment | None
    first: tuple[Element, ...]
    first_holes: tuple[Element, ...]


@dataclass(frozen=True)
class _Taken:
    """When faults were called and over; which of them took each gone element (-1: none), a later add (row) of its
    writer that the same read still has (-1: none); when each key was last read, and every attempt to read."""

    calls: Int64
    over: Int64
    fault: Int64
    kept: Int64
    last_asked_ns: Int64
    tried_ns: Int64
    tried_key: Int32


@dataclass(frozen=True)
class Depths:
    """The depth of each fault, in the order of their calls, and what the sets themselves tell. `read_again`: somebody
    read a set twice after the first of them."""

    faults: tuple[Depth, ...]
    sets: Histories
    read_again: bool


def depths(history: History, calls_ns: Sequence[int], over_ns: Sequence[int], shown: int) -> Depths:
    """Measure what faults called at `calls_ns` (ascending) and over at `over_ns` took; name `shown` elements.

    Raises ValueError for values outside the vocabulary of the history.
    """
    sets = gone_of(history)
    calls = np.array(calls_ns, np.int64)
    fault = _faults(sets, calls)
    tried = lines_of(history, "read", Mark.INVOKE)
    tried = tried[np.argsort(history.at_ns[tried], kind="stable")]
    last_asked_ns = np.full(len(history.keys), -1, np.int64)
    last_asked_ns[sets.reads.key] = sets.reads.asked_ns  # they are in the order of asking
    kept = _kept_later(sets, first_asked(history, sets.adds), calls, fault)
    over = np.array(over_ns, np.int64)
    taken = _Taken(calls, over, fault, kept, last_asked_ns, history.at_ns[tried], history.key[tried])
    after = sets.reads.key[sets.reads.asked_ns >= (calls[0] if len(calls) else 0)]
    read_again = len(np.unique(after)) < len(after)
    return Depths(tuple(_depth(history, sets, taken, i, shown) for i in range(len(calls))), sets, read_again)


def _faults(sets: Histories, calls: Int64) -> Int64:
    """Return which fault took each gone element; -1 where none did."""
    gone = sets.gone
    if not len(calls):
        return np.full(len(gone), -1, np.int64)
    acked_ns = sets.adds.acked_ns[gone.row]
    missed_ns = sets.reads.answered_ns[gone.read]
    after = np.searchsorted(calls, np.maximum(acked_ns, gone.had_ns), side="right")
    before = np.searchsorted(calls, missed_ns, side="right") - 1
    took = np.where(after <= before, after, before)
    struck = (took >= 0) & (calls[np.maximum(took, 0)] >= acked_ns)
    return np.where(struck, took, -1)


def _kept_later(sets: Histories, begun_ns: Int64, calls: Int64, fault: Int64) -> Int64:
    """Return for each gone element a later add (row) of its writer that the same read still has; -1 for none."""
    gone, adds = sets.gone, sets.adds
    kept = np.full(len(gone), -1, np.int64)
    taken = np.flatnonzero(fault >= 0)
    groups = np.stack([gone.read[taken], fault[taken]])
    order = np.lexsort(groups)
    turns = np.flatnonzero((np.diff(groups[:, order]) != 0).any(axis=0)) + 1
    latest = np.full(int(adds.bot.max(initial=-1)) + 1, -1, np.int64)
    for part in np.split(taken[order], turns) if len(taken) else []:
        rows = _there_before(sets, int(gone.read[part[0]]), int(calls[fault[part[0]]]))
        rows = rows[np.argsort(begun_ns[rows], kind="stable")]
        latest[adds.bot[rows]] = rows  # the last one begun of each writer stays
        later = latest[adds.bot[gone.row[part]]]
        kept[part] = np.where(adds.acked_ns[gone.row[part]] < begun_ns[later], later, -1)
        kept[part[later < 0]] = -1
        latest[adds.bot[rows]] = -1
    return kept


def _there_before(sets: Histories, n: int, called_ns: int) -> Int64:
    """Return the adds that had been acknowledged before the call and are in read n.

    An acknowledgement without its invoke does not say when it was begun, and is left out.
    """
    adds, reads = sets.adds, sets.reads
    rows = np.arange(*np.searchsorted(adds.key, (reads.key[n], reads.key[n] + 1)))
    rows = rows[(adds.acked_ns[rows] < called_ns) & (adds.asked_ns[rows] < adds.acked_ns[rows])]
    return rows[_has(reads.content(n), adds.element[rows])]


def _has(content: Spans, elements: Int64) -> npt.NDArray[np.bool_]:
    if not len(content.starts):
        return np.zeros(len(elements), np.bool_)
    place = np.searchsorted(content.starts, elements, side="right") - 1
    there: npt.NDArray[np.bool_] = (place >= 0) & (elements <= content.ends[place])
    return there


def _depth(history: History, sets: Histories, taken: _Taken, i: int, shown: int) -> Depth:
    adds, called_ns = sets.adds, int(taken.calls[i])
    since_ns = int(taken.calls[i - 1]) if i else -1
    ours = (adds.acked_ns >= 0) & (adds.acked_ns >= since_ns) & (adds.acked_ns < called_ns)
    mine = np.flatnonzero(taken.fault == i)
    mine = mine[np.argsort(adds.acked_ns[sets.gone.row[mine]], kind="stable")]
    holes = mine[taken.kept[mine] >= 0]
    observed, settled = _moments(sets, mine, called_ns, taken)
    return Depth(
        acknowledged=int(ours.sum()),
        unseen=_unseen(sets, taken, i),
        gone=len(mine),
        holes=len(holes),
        oldest_ns=int(adds.acked_ns[sets.gone.row[mine[0]]]) if len(mine) else None,
        observed=observed,
        settled=settled,
        first=tuple(_element(history, sets, at, taken.kept) for at in mine[:shown].tolist()),
        first_holes=tuple(_element(history, sets, at, taken.kept) for at in holes[:shown].tolist()),
    )


def _unseen(sets: Histories, taken: _Taken, i: int) -> int:
    """Count what was acknowledged before fault i and that nobody looked for after it was over.

    A read while it is in force is none: what it takes may be gone only when it is over. What had been missed before is
    known to be gone.
    """
    adds = sets.adds
    unseen = (adds.acked_ns >= 0) & (adds.acked_ns < taken.calls[i]) & (taken.last_asked_ns[adds.key] < taken.over[i])
    unseen[sets.gone.row[(taken.fault >= 0) & (taken.fault <= i)]] = False
    return int(unseen.sum())


def _moments(sets: Histories, mine: Int64, called_ns: int, taken: _Taken) -> tuple[Moment | None, Moment | None]:
    """Return when a reader first missed something, and when the last of what is gone was first missed."""
    if not len(mine):
        return None, None
    gone, reads = sets.gone, sets.reads
    answered_ns = reads.answered_ns[gone.read[mine]]
    first, last = (int(gone.read[mine[at]]) for at in (np.argmin(answered_ns), np.argmax(answered_ns)))
    keys = np.unique(sets.adds.key[gone.row[mine]])
    found = []
    for n, of in ((first, keys), (last, reads.key[last : last + 1])):
        earlier = taken.tried_ns[np.isin(taken.tried_key, of)]
        earlier = earlier[(earlier >= called_ns) & (earlier < reads.asked_ns[n])]
        since_ns = int(earlier[-1]) if len(earlier) else called_ns
        found.append(Moment(int(reads.answered_ns[n]), int(reads.answered_ns[n]) - since_ns, int(reads.id[n])))
    return found[0], found[1]


def _element(history: History, sets: Histories, at: int, kept: Int64) -> Element:
    adds, reads, row, n = sets.adds, sets.reads, int(sets.gone.row[at]), int(sets.gone.read[at])
    later = int(kept[at])
    return Element(
        key=history.keys[adds.key[row]],
        element=int(adds.element[row]),
        bot=history.bots[adds.bot[row]],
        id=int(adds.id[row]),
        acked_ns=int(adds.acked_ns[row]),
        read_id=int(reads.id[n]),
        read_ns=int(reads.asked_ns[n]),
        kept=int(adds.element[later]) if later >= 0 else None,
        kept_id=int(adds.id[later]) if later >= 0 else None,
    )
