"""Game events followed to their ends: what each part (each bot that saw it) was told, and what that comes to.

Several parts can be told at different times, and asking can show what no push told. So an event ends when the first
of its parts is told an end; where what was told is contradictory, when the last contradiction was told (one is that it
is still open, long after another part was told an end); where the target no longer knew it, when it last said so;
otherwise it never ended. One that begins again under the same name, for a bot that had been told its end, cannot be
followed: nobody can tell one life from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaosctl.recording.model import History, Int32, Int64

VALUES = ("started", "settled", "rolled_back", "open", "absent")
_STARTED, _SETTLED, _ROLLED_BACK, _OPEN, _ABSENT = range(5)
NEVER_NS = np.iinfo(np.int64).max
Bools = npt.NDArray[np.bool_]


class Fate(IntEnum):
    """The one end of an event."""

    RESUMED = 0
    ROLLED_BACK = 1
    BOTH = 2
    HALF_APPLIED = 3
    NEITHER = 4
    LATE = 5
    NOT_SEEN = 6


@dataclass(frozen=True)
class Events:
    """Every event that somebody saw start or end, as parallel columns; `key` is its code in the history.

    `started_ns` is NEVER_NS where nobody saw that; `open_ns` and `absent_ns`, when the target last answered so, are -1
    where it never did; `first_end_ns` is NEVER_NS where no part was told an end. `both`: one part was told two
    different ends; `half`: two parts were told different ends, or one an end and one that there is no such event.
    `unended_ns` is when a part to which nothing was said of an end afterwards was last told that it is open, or -1.
    `again`: it began once more for a part that had been told its end. `told`: how many parts were told an end, or that
    there is none.
    """

    key: Int32
    started_ns: Int64
    open_ns: Int64
    absent_ns: Int64
    first_end_ns: Int64
    last_end_ns: Int64
    settled: Bools
    rolled_back: Bools
    both: Bools
    half: Bools
    unended_ns: Int64
    again: Bools
    told: Int64

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.key)

    def over_ns(self) -> Int64:
        """Return when each was over, as far as anybody can tell; NEVER_NS where it never was."""
        contradicted = np.maximum(self.last_end_ns, self.absent_ns)
        over = np.where(self.both | self.half, contradicted, self.first_end_ns)
        return np.where((over == NEVER_NS) & (self.absent_ns >= 0), self.absent_ns, over)

    def half_open(self, within_ns: int) -> Bools:
        """Return which are open for one part more than `within_ns` after another one was told an end, and stay so."""
        return self.unended_ns - self.first_end_ns > within_ns


@dataclass(frozen=True)
class Flights:
    """What became of the events in flight at faults. `judged` is the last fault (index) before an event's end, -1
    where it was in flight at none; `fate` means nothing there."""

    events: Events
    over_ns: Int64
    judged: Int64
    fate: npt.NDArray[np.int8]

    def in_flight(self, called_ns: int) -> Bools:
        """Return which events had started and were not over when a fault was called."""
        return (self.events.started_ns < called_ns) & (self.over_ns >= called_ns)


def events_of(history: History) -> Events:
    """Return every event of a history. Raises ValueError for a value outside the vocabulary."""
    lines = _event_lines(history)
    value = _values(history, lines)
    keys, event = np.unique(history.key[lines], return_inverse=True)
    bots = max(len(history.bots), 1)
    parts, part = np.unique(event * bots + history.bot[lines], return_inverse=True)
    of = parts // bots
    n, at_ns = len(keys), history.at_ns[lines]
    settled, rolled_back, absent = (_any(part[value == one], len(parts)) for one in (_SETTLED, _ROLLED_BACK, _ABSENT))
    ended = settled | rolled_back
    differ = _any(of[settled & ~rolled_back], n) & _any(of[rolled_back & ~settled], n)
    is_end = (value == _SETTLED) | (value == _ROLLED_BACK)
    part_open_ns, part_end_ns = (_most(part, at_ns, which, len(parts)) for which in (value == _OPEN, is_end))
    unended = part_open_ns > part_end_ns
    part_started_ns = _most(part, at_ns, value == _STARTED, len(parts))
    part_first_end_ns = _least(part, at_ns, is_end, len(parts))
    return Events(
        key=keys.astype(np.int32),
        started_ns=_least(event, at_ns, value == _STARTED, n),
        open_ns=_most(event, at_ns, value == _OPEN, n),
        absent_ns=_most(event, at_ns, value == _ABSENT, n),
        first_end_ns=_least(event, at_ns, is_end, n),
        last_end_ns=_most(event, at_ns, is_end, n),
        settled=_any(of[settled], n),
        rolled_back=_any(of[rolled_back], n),
        both=_any(of[settled & rolled_back], n),
        half=differ | (_any(of[ended], n) & _any(of[absent], n)),
        unended_ns=_most(of[unended], part_open_ns[unended], np.ones(int(unended.sum()), np.bool_), n),
        again=_any(of[part_started_ns > part_first_end_ns], n),
        told=np.bincount(of[ended | absent], minlength=n).astype(np.int64),
    )


def follow(events: Events, calls_ns: Int64, resume_within_ns: int, torn: bool) -> Flights:
    """Follow every event in flight at the faults called at `calls_ns` (ascending) to its end.

    In a `torn` recording the end of an event may be missing: there nothing is late, and nothing is still open.
    """
    half_open = events.half_open(resume_within_ns) & (not torn)
    over_ns = np.where(half_open, np.maximum(events.over_ns(), events.unended_ns), events.over_ns())
    over_ns = np.where(events.again, NEVER_NS, over_ns)
    judged = np.searchsorted(calls_ns, over_ns, side="right") - 1
    called_ns = calls_ns[np.maximum(judged, 0)] if len(calls_ns) else np.zeros(len(events), np.int64)
    judged = np.where((judged >= 0) & (events.started_ns < called_ns), judged, -1)
    beyond = np.zeros(len(events), np.bool_) if torn else events.first_end_ns - called_ns > resume_within_ns
    still_open = (events.open_ns - called_ns > resume_within_ns) & (not torn)
    ended = events.settled | events.rolled_back
    cases = (
        (events.again, Fate.NOT_SEEN),
        (events.both, Fate.BOTH),
        (events.half | half_open, Fate.HALF_APPLIED),
        (events.settled & beyond, Fate.LATE),
        (events.settled, Fate.RESUMED),
        (events.rolled_back, Fate.ROLLED_BACK),
        (~ended & ((events.absent_ns >= called_ns) | still_open), Fate.NEITHER),
    )
    fate = np.select([case for case, _ in cases], [int(end) for _, end in cases], default=int(Fate.NOT_SEEN))
    return Flights(events, over_ns, judged, fate.astype(np.int8))


@dataclass(frozen=True)
class Told:
    """What one bot was told about an event, in one line of the history."""

    at_ns: int
    id: int
    bot: str
    value: str


def told(history: History, key: int) -> tuple[Told, ...]:
    """Return the lines of one event in the order of their times."""
    lines = np.flatnonzero(history.key == key)
    lines = lines[history.f[lines] == history.fs.index("event")]
    lines = lines[np.argsort(history.at_ns[lines], kind="stable")]
    return tuple(
        Told(int(history.at_ns[at]), int(history.id[at]), history.bots[history.bot[at]], str(history.value[at]))
        for at in lines.tolist()
    )


def in_words(lines: tuple[Told, ...]) -> str:
    """Return what each bot was told, one after another: `a: started 5.000s, settled 8.000s; b: open 7.000s (3 times)`.

    What a bot was told again, with nothing else in between, stands there once, with its last time.
    """
    said = []
    for bot in dict.fromkeys(one.bot for one in lines):
        runs = [list(run) for _, run in groupby((one for one in lines if one.bot == bot), lambda one: one.value)]
        said.append(f"{bot}: {', '.join(_run(run) for run in runs)}")
    return "; ".join(said)


def _run(run: list[Told]) -> str:
    text = f"{run[0].value} {run[0].at_ns / 1e9:.3f}s"
    return text if len(run) == 1 else f"{text} to {run[-1].at_ns / 1e9:.3f}s ({len(run)} times)"


def _event_lines(history: History) -> Int64:
    return np.flatnonzero(history.f == history.fs.index("event")) if "event" in history.fs else np.empty(0, np.int64)


def _values(history: History, lines: Int64) -> npt.NDArray[np.int8]:
    texts = history.value.take(pa.array(lines))
    codes = pc.index_in(texts, value_set=pa.array(VALUES, pa.utf8()))
    if codes.null_count:
        strange = texts[int(np.flatnonzero(codes.is_null().to_numpy(zero_copy_only=False))[0])].as_py()
        known = ", ".join(VALUES)
        raise ValueError(f"an event in history.jsonl has the value {str(strange)[:40]!r}; there are: {known}")
    known_codes: npt.NDArray[np.int8] = codes.to_numpy(zero_copy_only=False).astype(np.int8)
    return known_codes


def _any(marked: Int64, n: int) -> Bools:
    found = np.zeros(n, np.bool_)
    found[marked] = True
    return found


def _least(event: Int64, at_ns: Int64, where: Bools, n: int) -> Int64:
    found = np.full(n, NEVER_NS, np.int64)
    np.minimum.at(found, event[where], at_ns[where])
    return found


def _most(event: Int64, at_ns: Int64, where: Bools, n: int) -> Int64:
    found = np.full(n, -1, np.int64)
    np.maximum.at(found, event[where], at_ns[where])
    return found
