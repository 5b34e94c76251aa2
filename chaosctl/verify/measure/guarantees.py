"""Session guarantees on sets: what a bot has seen, or has itself done, must be in what it reads afterwards.

Terry et al., "Session Guarantees for Weakly Consistent Replicated Data" (1994). A bot is a session. Nothing is ever
taken out of a set, so each read must contain what the bot's earlier ones contained (monotonic reads), and the elements
whose adds were acknowledged to it (read your writes). "Earlier" is completed before the read was asked for; operations
that overlap say nothing about each other, and neither does one of unknown outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from chaosctl.recording.model import History, Int64, Mark
from chaosctl.verify.measure.sets import adds_of, lines_of, places_among
from chaosctl.verify.measure.spans import EMPTY, Spans

_UNMERGED = 64  # ranges that may pile up before they are merged, which costs a sort
_KEPT = 100  # missing elements that are kept by name; all are counted
_Session = tuple[int, int]  # codes of the bot and of the key


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
class _Read:
    """An answered read and what it contained."""

    id: int
    asked_ns: int
    answered_ns: int
    content: Spans


@dataclass(frozen=True)
class _Known:
    """Ranges that a session knows to be in the set, as parallel columns sorted by since when, and from what `id`."""

    since_ns: Int64
    id: Int64
    starts: Int64
    ends: Int64


def monotonic_reads(history: History) -> Kept:
    """Compare each bot's reads of a key with its earlier ones. Raises ValueError for a read that is not ranges."""
    kept = Kept()
    for session, reads in _reads(history).items():
        _follow(kept, history, session, reads, _seen(reads))
    return kept


def read_your_writes(history: History) -> Kept:
    """Compare each bot's reads of a key with its own acknowledged adds. Raises ValueError for values out of order."""
    kept = Kept()
    reads = _reads(history)
    for session, known in _own_adds(history):
        if session in reads:
            _follow(kept, history, session, reads[session], known)
    return kept


def _reads(history: History) -> dict[_Session, list[_Read]]:
    """Return each session's answered reads by when they were asked for. A read without its invoke is not counted."""
    asked, answered = lines_of(history, "read", Mark.INVOKE), lines_of(history, "read", Mark.OK)
    place = places_among(history.id[answered], history.id[asked])
    answered, asked = answered[place >= 0], asked[place[place >= 0]]
    reads: dict[_Session, list[_Read]] = {}
    for i in np.argsort(history.at_ns[asked], kind="stable").tolist():
        line = int(answered[i])
        content = Spans.parse(history.value[line].as_py()) | EMPTY
        read = _Read(int(history.id[line]), int(history.at_ns[asked[i]]), int(history.at_ns[line]), content)
        reads.setdefault((int(history.bot[line]), int(history.key[line])), []).append(read)
    return reads


def _seen(reads: list[_Read]) -> _Known:
    """Return what the reads themselves tell, from their answers on."""
    answered = sorted(reads, key=lambda read: read.answered_ns)
    ranges = [len(read.content.starts) for read in answered]
    return _Known(
        np.repeat(np.array([read.answered_ns for read in answered], np.int64), ranges),
        np.repeat(np.array([read.id for read in answered], np.int64), ranges),
        np.concatenate([read.content.starts for read in answered]),
        np.concatenate([read.content.ends for read in answered]),
    )


def _own_adds(history: History) -> Iterator[tuple[_Session, _Known]]:
    """Give what each session's acknowledged adds tell, from their acknowledgements on."""
    adds = adds_of(history)
    rows = np.flatnonzero(adds.acked_ns >= 0)
    rows = rows[np.lexsort((adds.acked_ns[rows], adds.key[rows], adds.bot[rows]))]
    bots, keys = adds.bot[rows], adds.key[rows]
    turns = np.flatnonzero((np.diff(bots) != 0) | (np.diff(keys) != 0)) + 1
    for part in np.split(rows, turns) if len(rows) else []:
        session = (int(adds.bot[part[0]]), int(adds.key[part[0]]))
        yield session, _Known(adds.acked_ns[part], adds.id[part], adds.element[part], adds.element[part])


def _follow(kept: Kept, history: History, session: _Session, reads: list[_Read], known: _Known) -> None:
    """Go through a session's reads in order; what is missing is taken out of what must be there, so it counts once."""
    must, upto, merged = EMPTY, 0, 0
    for read in reads:
        until = int(np.searchsorted(known.since_ns, read.asked_ns, side="left"))
        must = must.and_also(known.starts[upto:until], known.ends[upto:until])
        if len(must.starts) > 2 * merged + _UNMERGED:
            must |= EMPTY
            merged = len(must.starts)
        upto = until
        kept.judged += bool(len(must.starts))
        if read.content.covers(must):
            continue
        missing = must - read.content
        must -= missing
        kept.count += len(missing)
        for element in missing.first(_KEPT - len(kept.first)):
            at = np.flatnonzero((known.starts[:until] <= element) & (element <= known.ends[:until]))[-1]
            since = (int(known.id[at]), int(known.since_ns[at]))
            bot, key = history.bots[session[0]], history.keys[session[1]]
            kept.first.append(Missing(bot, key, element, *since, read.id, read.asked_ns))
