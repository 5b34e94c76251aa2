"""Session guarantees that others rely on: what a session wrote shows together with what it had written or read before.

Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994), on sets that only grow. A bot is a
session. Whoever finds an element that a session added must find what the session had added before (monotonic writes:
acknowledged before it asked for the later add), and what it had read before (writes follow reads: in the answer to a
read, before it asked for the add). An add of unknown outcome that is found has happened; one that is not found says
nothing. An element that was tried again counts as written when it was first tried.

All reads are looked at together, in columns; only those that may lack something are gone through one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from chaosctl.recording.columns import release_unused
from chaosctl.recording.model import History, Int32, Int64
from chaosctl.verify.measure.extent import NEVER, least_within, lowered_to
from chaosctl.verify.measure.reads import Gaps, Reads, Universe, reads_of
from chaosctl.verify.measure.sets import Adds, adds_of, first_asked

_KEPT = 100  # violations that are kept by name; all are counted


@dataclass(frozen=True)
class OutOfOrder:
    """The read `read_id` has `later`, which `bot` began to add at `later_ns`, and lacks `earlier`.

    `earlier` had by then, at `earlier_ns`, been acknowledged to `bot`, or been shown to it by a read. Ids are those of
    the two adds. Times are run ns.
    """

    bot: str
    key: str
    earlier: int
    earlier_id: int
    earlier_ns: int
    later: int
    later_id: int
    later_ns: int
    read_id: int
    reader: str
    asked_ns: int


@dataclass
class Followed:
    """`judged` reads had something that came after something else; `count` elements were missing behind a later one."""

    judged: int = 0
    count: int = 0
    first: list[OutOfOrder] = field(default_factory=list)


@dataclass(frozen=True)
class _Sessions:
    """The adds by session, and within it by when they were asked for: `rows` into the adds; `of` their sessions."""

    adds: Adds
    keys: int
    rows: Int32
    of: Int64

    @classmethod
    def of_adds(cls, adds: Adds, keys: int) -> _Sessions:
        of = adds.bot.astype(np.int64)
        of *= keys
        of += adds.key
        rows = np.lexsort((adds.asked_ns, of)).astype(np.int32)
        release_unused()
        return cls(adds, keys, rows, of[rows])

    def next_asked(self, session: Int64, after_ns: Int64) -> Int64:
        """Return when each session asked for its next add after a time; NEVER if it did not."""
        found = np.full(len(session), NEVER, np.int64)
        order = np.argsort(session, kind="stable")
        names, bounds = _stretches(session[order])
        mine = np.searchsorted(self.of, names), np.searchsorted(self.of, names, side="right")
        for (low, high), first, last in zip(pairwise(bounds), *(one.tolist() for one in mine), strict=True):
            asked_ns = np.append(self.adds.asked_ns[self.rows[first:last]], NEVER)
            rows = order[low:high]
            found[rows] = asked_ns[np.searchsorted(asked_ns[:-1], after_ns[rows], side="right")]
        return found

    def next_after(self, value: Int64) -> Int64:
        """Return for each add when its session asked for the next one after its `value`; NEVER if it did not."""
        found = np.full(len(value), NEVER, np.int64)
        for low, high in pairwise(_stretches(self.of)[1]):
            mine = self.rows[low:high]
            asked_ns = np.append(self.adds.asked_ns[mine], NEVER)
            found[mine] = asked_ns[np.searchsorted(asked_ns[:-1], value[mine], side="right")]
        return found

    def asked_after(self, since_ns: Mapping[int, int]) -> npt.NDArray[np.bool_]:
        """Mark the adds that were asked for after a time that is given for their session."""
        marked = np.zeros(len(self.rows), np.bool_)
        names, bounds = _stretches(self.of)
        for name, (low, high) in zip(names.tolist(), pairwise(bounds), strict=True):
            mine = self.rows[low:high]
            marked[mine] = self.adds.asked_ns[mine] > since_ns.get(name, NEVER)
        return marked

    def first_of(self, value: Int64) -> dict[int, int]:
        """Return the least value of each session."""
        names, bounds = _stretches(self.of)
        parts = zip(names.tolist(), pairwise(bounds), strict=True)
        return {name: int(value[self.rows[low:high]].min()) for name, (low, high) in parts}

    def writers(self, key: int) -> Iterator[Int32]:
        """Give the rows of each session that added to this key, by when they were asked for."""
        mine = self.rows[self.of % self.keys == key]
        of = self.adds.bot[mine]
        for bot in np.unique(of).tolist():
            yield mine[of == bot]


def _stretches(sorted_codes: Int64) -> tuple[Int64, list[int]]:
    """Return the codes, each once, and where each of them begins, and the end."""
    begins = np.flatnonzero(np.diff(sorted_codes, prepend=-1) != 0)
    return sorted_codes[begins], [*begins.tolist(), len(sorted_codes)]


# For a session's adds (rows) and the rows of its key: when the session knew each of these; NEVER for what it did not.
_Knowledge = Callable[[Int32, slice], Int64]


def monotonic_writes(history: History) -> Followed:
    """Look for reads that have a session's later add, and not its earlier one. Raises ValueError for odd values."""
    reads, adds = reads_of(history), _written(history)
    sessions = _Sessions.of_adds(adds, len(history.keys))
    acked_ns = np.where(adds.acked_ns >= 0, adds.acked_ns, NEVER)
    exposed_ns = sessions.next_after(acked_ns)

    def known(mine: Int32, span: slice) -> Int64:
        known_ns = np.full(span.stop - span.start, NEVER, np.int64)
        known_ns[mine - span.start] = acked_ns[mine]
        return known_ns

    return _judge(history, reads, sessions, exposed_ns, sessions.asked_after(sessions.first_of(acked_ns)), known)


def writes_follow_reads(history: History) -> Followed:
    """Look for reads that have a session's add, and not what it had read before. Raises ValueError for odd values."""
    reads, adds = reads_of(history), _written(history)
    sessions = _Sessions.of_adds(adds, len(history.keys))
    low, high = Universe(adds.key, adds.element).covered(reads, reads.key)
    reader = reads.bot.astype(np.int64) * len(history.keys) + reads.key
    next_ns = sessions.next_asked(reader, reads.answered_ns)
    of_range = np.repeat(np.arange(len(reads)), reads.lengths())
    exposed_ns = lowered_to(len(adds.id), low, high, next_ns[of_range])

    def known(mine: Int32, span: slice) -> Int64:
        own = reader[of_range] == int(adds.bot[mine[0]]) * len(history.keys) + int(adds.key[mine[0]])
        places = (low[own] - span.start, high[own] - span.start)
        return lowered_to(span.stop - span.start, *places, reads.answered_ns[of_range[own]])

    follows = sessions.asked_after(_first_filled(reads, reader))
    return _judge(history, reads, sessions, exposed_ns, follows, known)


def _written(history: History) -> Adds:
    """Return the adds; what was tried again counts as written when it was first tried."""
    adds = adds_of(history)
    return replace(adds, asked_ns=first_asked(history, adds))


def _first_filled(reads: Reads, reader: Int64) -> dict[int, int]:
    """Return when each session was first answered with something in it."""
    filled = np.flatnonzero(reads.lengths() > 0)
    filled = filled[np.argsort(reader[filled], kind="stable")]
    names, bounds = _stretches(reader[filled])
    parts = zip(names.tolist(), pairwise(bounds), strict=True)
    return {name: int(reads.answered_ns[filled[low:high]].min()) for name, (low, high) in parts}


def _judge(
    history: History,
    reads: Reads,
    sessions: _Sessions,
    exposed_ns: Int64,
    follows: npt.NDArray[np.bool_],
    known: _Knowledge,
) -> Followed:
    """Judge all reads. `exposed_ns`: from when on some add may show that came after this one was known to its bot.

    `follows` marks the adds that came after something.
    """
    adds = sessions.adds
    universe = Universe(adds.key, adds.element)
    found = Followed(judged=_having(universe, reads, follows))
    gaps = universe.gaps(reads, reads.key)
    suspect = least_within(exposed_ns, gaps.low, gaps.high) < reads.answered_ns[gaps.of]
    gaps = Gaps(gaps.of[suspect], gaps.low[suspect], gaps.high[suspect])
    counted = np.zeros(len(adds.id), np.bool_)
    for key in np.unique(reads.key[gaps.of]).tolist():
        span = slice(*np.searchsorted(adds.key, [key, key + 1]).tolist())
        lacking = _lacking(gaps, reads, exposed_ns, key)
        for mine in sessions.writers(key):
            known_ns = known(mine, span)
            for n, missing in lacking:
                latest = _latest_in(reads, n, adds, mine)
                if latest is None:
                    continue
                late = missing[known_ns[missing - span.start] < adds.asked_ns[latest]]
                late = late[~counted[late]]
                counted[late] = True
                found.first += [
                    _violation(history, reads, n, adds, int(place), latest, int(known_ns[place - span.start]))
                    for place in late[: _KEPT - len(found.first)]
                ]
    found.count = int(counted.sum())
    return found


def _having(universe: Universe, reads: Reads, wanted: npt.NDArray[np.bool_]) -> int:
    """Return how many reads have any of the marked elements."""
    low, high = universe.covered(reads, reads.key)
    upto = np.zeros(len(wanted) + 1, np.int32)
    np.cumsum(wanted, out=upto[1:])
    of_range = np.repeat(np.arange(len(reads)), reads.lengths())
    return int((np.bincount(of_range, upto[high] - upto[low], minlength=1) > 0).sum())


def _lacking(gaps: Gaps, reads: Reads, exposed_ns: Int64, key: int) -> list[tuple[int, Int64]]:
    """Return each suspect read of a key with the elements (their places) that it may not lack."""
    mine = np.flatnonzero(reads.key[gaps.of] == key)
    missing: dict[int, list[Int64]] = {}
    for n, low, high in zip(gaps.of[mine].tolist(), gaps.low[mine].tolist(), gaps.high[mine].tolist(), strict=True):
        places = low + np.flatnonzero(exposed_ns[low:high] < reads.answered_ns[n])
        missing.setdefault(n, []).append(places)
    return [(n, np.concatenate(places)) for n, places in missing.items()]


def _latest_in(reads: Reads, n: int, adds: Adds, mine: Int32) -> int | None:
    """Return the last of a session's adds that read n has; None if it has none."""
    mine = mine[: int(np.searchsorted(adds.asked_ns[mine], reads.answered_ns[n], side="left"))]
    there = reads.content(n).has(adds.element[mine])
    return int(mine[np.flatnonzero(there)[-1]]) if there.any() else None


def _violation(
    history: History, reads: Reads, n: int, adds: Adds, earlier: int, later: int, known_ns: int
) -> OutOfOrder:
    return OutOfOrder(
        bot=history.bots[adds.bot[later]],
        key=history.keys[adds.key[later]],
        earlier=int(adds.element[earlier]),
        earlier_id=int(adds.id[earlier]),
        earlier_ns=known_ns,
        later=int(adds.element[later]),
        later_id=int(adds.id[later]),
        later_ns=int(adds.asked_ns[later]),
        read_id=int(reads.id[n]),
        reader=history.bots[reads.bot[n]],
        asked_ns=int(reads.asked_ns[n]),
    )
