"""Session guarantees that others rely on: what a session wrote shows together with what it had written or read before.

Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994), on sets that only grow. A bot is a
session. Whoever finds an element that a session added must find what the session had added before (monotonic writes:
acknowledged before it asked for the later add), and what it had read before (writes follow reads: in the answer to a
read, before it asked for the add). An add of unknown outcome that is found has happened; one that is not found says
nothing.

All reads are looked at together, in columns; only those that may lack something are gone through one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import History, Int64
from chaosctl.verify.measure.extent import NEVER, least_within, lowered_to
from chaosctl.verify.measure.reads import Gaps, Reads, Universe, reads_of
from chaosctl.verify.measure.sets import Adds, adds_of

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
    rows: Int64
    of: Int64

    @classmethod
    def of_adds(cls, adds: Adds, keys: int) -> _Sessions:
        of = adds.bot.astype(np.int64) * keys + adds.key
        rows = np.lexsort((adds.asked_ns, of)).astype(np.int64)
        return cls(adds, keys, rows, of[rows])

    def next_asked(self, session: Int64, after_ns: Int64) -> Int64:
        """Return when each session asked for its next add after a time; NEVER if it did not."""
        if not len(self.rows):
            return np.full(len(session), NEVER, np.int64)
        asked = Universe(self.of, self.adds.asked_ns[self.rows])
        place = asked.places(session, after_ns, "right")
        at = np.minimum(place, len(self.rows) - 1)
        there = (place < len(self.rows)) & (self.of[at] == session)
        return np.where(there, asked.element[at], NEVER)

    def writers(self, key: int) -> Iterator[Int64]:
        """Give the rows of each session that added to this key, by when they were asked for."""
        mine = self.rows[self.of % self.keys == key]
        of = self.adds.bot[mine]
        for bot in np.unique(of).tolist():
            yield mine[of == bot]


# For a session's adds (rows) and the rows of its key: when the session knew each of these; NEVER for what it did not.
_Knowledge = Callable[[Int64, slice], Int64]


def monotonic_writes(history: History) -> Followed:
    """Look for reads that have a session's later add, and not its earlier one. Raises ValueError for odd values."""
    reads, adds = reads_of(history), adds_of(history)
    sessions = _Sessions.of_adds(adds, len(history.keys))
    of = _codes(history, adds)
    acked_ns = np.where(adds.acked_ns >= 0, adds.acked_ns, NEVER)
    exposed_ns = np.where(adds.acked_ns >= 0, sessions.next_asked(of, acked_ns), NEVER)

    def known(mine: Int64, span: slice) -> Int64:
        known_ns = np.full(span.stop - span.start, NEVER, np.int64)
        known_ns[mine - span.start] = acked_ns[mine]
        return known_ns

    follows = adds.asked_ns > _least_of(of, acked_ns, of)
    return _judge(history, reads, sessions, exposed_ns, follows, known)


def writes_follow_reads(history: History) -> Followed:
    """Look for reads that have a session's add, and not what it had read before. Raises ValueError for odd values."""
    reads, adds = reads_of(history), adds_of(history)
    sessions = _Sessions.of_adds(adds, len(history.keys))
    low, high = Universe(adds.key, adds.element).covered(reads, reads.key)
    reader = _codes(history, reads)
    next_ns = sessions.next_asked(reader, reads.answered_ns)
    of_range = np.repeat(np.arange(len(reads)), reads.lengths())
    exposed_ns = lowered_to(len(adds.id), low, high, next_ns[of_range])

    def known(mine: Int64, span: slice) -> Int64:
        own = reader[of_range] == int(adds.bot[mine[0]]) * len(history.keys) + int(adds.key[mine[0]])
        places = (low[own] - span.start, high[own] - span.start)
        return lowered_to(span.stop - span.start, *places, reads.answered_ns[of_range[own]])

    filled = reads.lengths() > 0
    follows = adds.asked_ns > _least_of(reader[filled], reads.answered_ns[filled], _codes(history, adds))
    return _judge(history, reads, sessions, exposed_ns, follows, known)


def _codes(history: History, columns: Adds | Reads) -> Int64:
    """Return the session of each row: a code of the bot and the key."""
    return columns.bot.astype(np.int64) * len(history.keys) + columns.key


def _least_of(of: Int64, value: Int64, wanted: Int64) -> Int64:
    """Return for each of `wanted` the least value that stands beside its equal in `of`; NEVER where there is none."""
    if not len(of):
        return np.full(len(wanted), NEVER, np.int64)
    order = np.argsort(of, kind="stable")
    begins = np.flatnonzero(np.diff(of[order], prepend=-1) != 0)
    names, least = of[order][begins], np.minimum.reduceat(value[order], begins)
    place = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return np.where(names[place] == wanted, least[place], NEVER)


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
    upto = np.concatenate([[0], np.cumsum(wanted)])
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


def _latest_in(reads: Reads, n: int, adds: Adds, mine: Int64) -> int | None:
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
