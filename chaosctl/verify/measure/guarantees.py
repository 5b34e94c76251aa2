"""Session guarantees on sets: what a bot has seen, or has itself done, must be in what it reads afterwards.

Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994). A bot is a session. Nothing is ever
taken out of a set, so each read must contain what the bot's earlier ones contained (monotonic reads), and the elements
whose adds were acknowledged to it (read your writes). "Earlier" is completed before the read was asked for; operations
that overlap say nothing about each other, and neither does one of unknown outcome.

All sessions are looked at together, in columns; only those in which something may be missing are gone through read by
read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from chaosctl.recording.model import History, Int64
from chaosctl.verify.measure.extent import NEVER, least_within
from chaosctl.verify.measure.reads import Reads, Universe, reads_of
from chaosctl.verify.measure.sets import adds_of
from chaosctl.verify.measure.spans import EMPTY

_UNMERGED = 64  # ranges that may pile up before they are merged, which costs a sort
_KEPT = 100  # missing elements that are kept by name; all are counted
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Missing:
    """An element that the read `read_id` (asked for at `asked_ns`) lacks, though `since_id` had it at `since_ns`."""

    bot: str
    key: str
    element: int
    since_id: int
    since_ns: int
    read_id: int
    asked_ns: int


@dataclass
class Kept:
    """`judged` reads had something to keep; `count` elements were missing from them, each until it is seen again."""

    judged: int = 0
    count: int = 0
    first: list[Missing] = field(default_factory=list)


@dataclass(frozen=True)
class _Known:
    """Ranges that a session knows to be in the set, as parallel columns sorted by since when, and from what `id`."""

    since_ns: Int64
    id: Int64
    starts: Int64
    ends: Int64


def monotonic_reads(history: History) -> Kept:
    """Compare each bot's reads of a key with its earlier ones. Raises ValueError for a read that is not ranges."""
    reads = reads_of(history)
    session = _sessions(history, reads)
    rows = np.argsort(session, kind="stable")
    bounds = _bounds(session[rows])
    fallen = _not_within_the_next(reads, rows, session)
    filled = np.where(reads.lengths() > 0, reads.answered_ns, NEVER)[rows]
    kept = Kept()
    for low, high, trouble in zip(bounds[:-1], bounds[1:], _any_within(fallen, bounds), strict=True):
        part = rows[low:high]
        if trouble:
            _follow(kept, history, reads, part, _seen(reads, part))
        else:
            kept.judged += int((reads.asked_ns[part] > filled[low:high].min()).sum())
    return kept


def read_your_writes(history: History) -> Kept:
    """Compare each bot's reads of a key with its own acknowledged adds. Raises ValueError for values out of order."""
    reads, adds = reads_of(history), adds_of(history)
    session = _sessions(history, reads)
    own = np.flatnonzero(adds.acked_ns >= 0).astype(np.int32)
    of = adds.bot[own].astype(np.int64)
    of *= len(history.keys)
    of += adds.key[own]
    order = np.argsort(of, kind="stable").astype(np.int32)
    own, of = own[order], of[order]
    del order  # it is as long as there are adds
    gaps = Universe(of, adds.element[own]).gaps(reads, session)
    missing = least_within(adds.acked_ns[own], gaps.low, gaps.high) < reads.asked_ns[gaps.of]
    troubled = np.unique(session[gaps.of[missing]])
    kept = Kept(judged=_begun_after(reads, session, of, adds.acked_ns[own], troubled))
    rows = np.argsort(session, kind="stable")
    sorted_sessions = session[rows]
    for one in troubled.tolist():
        part = own[slice(*np.searchsorted(of, [one, one + 1]))]
        part = part[np.argsort(adds.acked_ns[part], kind="stable")]
        known = _Known(adds.acked_ns[part], adds.id[part], adds.element[part], adds.element[part])
        _follow(kept, history, reads, rows[slice(*np.searchsorted(sorted_sessions, [one, one + 1]))], known)
    return kept


def _begun_after(reads: Reads, session: Int64, of: Int64, since_ns: Int64, without: Int64) -> int:
    """Return how many reads were asked for after the first thing that their session (one of the sorted `of`) knew."""
    if not len(of):
        return 0
    begins = _bounds(of)[:-1]
    first_ns = np.minimum.reduceat(since_ns, begins)
    place = np.minimum(np.searchsorted(of[begins], session), len(begins) - 1)
    judged = (of[begins][place] == session) & (reads.asked_ns > first_ns[place])
    return int((judged & ~np.isin(session, without)).sum())


def _sessions(history: History, reads: Reads) -> Int64:
    """Return a code of the bot and the key for each read."""
    return reads.bot.astype(np.int64) * len(history.keys) + reads.key


def _bounds(codes: Int64) -> Int64:
    """Return where each stretch of equal codes begins, and the end."""
    turns = np.flatnonzero(np.diff(codes) != 0) + 1
    return np.concatenate([[0], turns, [len(codes)]]).astype(np.int64) if len(codes) else np.zeros(1, np.int64)


def _any_within(marked: Bools, bounds: Int64) -> list[bool]:
    return [bool(one) for one in np.logical_or.reduceat(marked, bounds[:-1])] if len(bounds) > 1 else []


def _not_within_the_next(reads: Reads, rows: Int64, session: Int64) -> Bools:
    """Mark, in the order of `rows`, the reads of which the session's next one does not cover every range."""
    place_of = np.empty(len(rows), np.int64)
    place_of[rows] = np.arange(len(rows))
    of = np.repeat(np.arange(len(reads)), reads.lengths())
    order = np.argsort(place_of[of], kind="stable")
    turn, starts, ends = place_of[of][order], reads.starts[order], reads.ends[order]
    last = len(rows) - 1
    followed = np.append(session[rows][1:] == session[rows][:-1], False)[turn] if len(rows) else np.empty(0, np.bool_)
    ranges = Universe(turn, starts)
    at = ranges.places(np.minimum(turn + 1, last), starts, "right") - 1
    over = (at >= 0) & (turn[at] == turn + 1) & (ends <= ends[at])
    fallen = np.zeros(len(rows), np.bool_)
    fallen[turn[followed & ~over]] = True
    return fallen


def _seen(reads: Reads, part: Int64) -> _Known:
    """Return what a session's reads themselves tell, from their answers on."""
    part = part[np.argsort(reads.answered_ns[part], kind="stable")]
    ranges = reads.lengths()[part]
    content = [reads.content(n) for n in part.tolist()]
    return _Known(
        np.repeat(reads.answered_ns[part], ranges),
        np.repeat(reads.id[part], ranges),
        np.concatenate([one.starts for one in content]),
        np.concatenate([one.ends for one in content]),
    )


def _follow(kept: Kept, history: History, reads: Reads, part: Int64, known: _Known) -> None:
    """Go through a session's reads in order; what is missing is taken out of what must be there, so it counts once."""
    must, upto, merged = EMPTY, 0, 0
    for n in part.tolist():
        asked_ns, content = int(reads.asked_ns[n]), reads.content(n) | EMPTY
        until = int(np.searchsorted(known.since_ns, asked_ns, side="left"))
        must = must.and_also(known.starts[upto:until], known.ends[upto:until])
        if len(must.starts) > 2 * merged + _UNMERGED:
            must |= EMPTY
            merged = len(must.starts)
        upto = until
        kept.judged += bool(len(must.starts))
        if content.covers(must):
            continue
        missing = must - content
        must -= missing
        kept.count += len(missing)
        for element in missing.first(_KEPT - len(kept.first)):
            at = np.flatnonzero((known.starts[:until] <= element) & (element <= known.ends[:until]))[-1]
            since = (int(known.id[at]), int(known.since_ns[at]))
            bot, key = history.bots[reads.bot[n]], history.keys[reads.key[n]]
            kept.first.append(Missing(bot, key, element, *since, int(reads.id[n]), asked_ns))
