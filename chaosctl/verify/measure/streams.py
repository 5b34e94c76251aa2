"""Streams that bots sent elements into and received: what is lost, doubled, out of order or was never sent.

Total order broadcast (Défago, Schiper, Urbán, "Total order broadcast and multicast algorithms", 2004): one order
explains what every receiver got and in which order, and what one sender sent one after the other is in it that way
round. Elements get places in a reference order, and everything is compared with these places, so that a long stream
costs no more than sorting it.

What was sent again, since nobody knew what had become of it, is one element: whichever attempt was received, it counts
as sent when it was first attempted, and as received if it was acknowledged.

- the reference of a stream is what the receiver with the most different elements got, in its order; of several the
  one with the fewest out of their senders' order
- an element is lost to a receiver if another one got it between two elements that both got; or, if nobody got it, when
  something that was sent after its acknowledgement was received
- a receiver is out of order where an element comes after one that should follow it: by the reference, or by its sender
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaosctl.recording.model import History, Int32, Int64, Mark
from chaosctl.verify.measure.extent import NEVER
from chaosctl.verify.measure.reads import Universe
from chaosctl.verify.measure.sets import lines_of, places_among

_KEPT = 100  # of each kind that are kept by name; all are counted
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Odd:
    """An element that something is wrong with, as `receiver` (nobody: "") saw it; `after` is what it came after.

    `id` is a line's: the send of a lost element, otherwise the receipt.
    """

    key: str
    element: int
    receiver: str
    id: int
    after: int | None = None


@dataclass
class Kind:
    """So many elements of one kind, the first of them, and how many things were looked at that might have been."""

    count: int = 0
    judged: int = 0
    first: list[Odd] = field(default_factory=list)


@dataclass
class Streams:
    """What is wrong with all streams together. `unseen` elements were acknowledged and nobody got anything later."""

    received: int = 0
    acknowledged: int = 0
    unseen: int = 0
    lost: Kind = field(default_factory=Kind)
    duplicated: Kind = field(default_factory=Kind)
    reordered: Kind = field(default_factory=Kind)
    phantoms: Kind = field(default_factory=Kind)


@dataclass(frozen=True)
class _Sends:
    """Attempts to send, sorted by key, element and when they were asked for. `acked_ns` is NEVER where one was not
    acknowledged."""

    key: Int32
    element: Int64
    id: Int64
    bot: Int32
    asked_ns: Int64
    acked_ns: Int64


@dataclass(frozen=True)
class _Receipts:
    """What was received, by key and receiver, and then in the order of the file: the order in which it reached them.

    `send` is its place among the sends, -1 where nobody sent it; `again`: the receiver had it before.
    """

    key: Int32
    bot: Int32
    element: Int64
    id: Int64
    send: Int64
    again: Bools


def streams(history: History) -> Streams:
    """Judge every stream. Raises ValueError for elements that are not decimal integers."""
    sends = _sends(history)
    receipts = _receipts(history, sends)
    order = _Order(np.zeros(len(receipts.id), np.bool_), np.zeros(len(receipts.id), np.bool_))
    lost, seen = _lost_to_all(history, sends, receipts)
    _follow_senders(order, sends, receipts)
    _compare_receivers(order, lost, history, sends, receipts)
    acknowledged = int((sends.acked_ns < NEVER).sum())
    unseen = acknowledged - seen
    return Streams(
        received=len(receipts.id),
        acknowledged=acknowledged,
        unseen=unseen,
        lost=Kind(int(lost.marked.sum()), seen if len(receipts.id) else 0, lost.first),
        duplicated=_duplicated(history, receipts),
        reordered=Kind(
            int(order.wrong.sum()),
            int(order.judged.sum()),
            [_received(history, receipts, row, after) for row, after in order.first[:_KEPT]],
        ),
        phantoms=_phantoms(history, receipts),
    )


@dataclass
class _Order:
    """Which receipts were compared with an earlier one, which came too late, and after what element."""

    judged: Bools
    wrong: Bools
    first: list[tuple[int, int]] = field(default_factory=list)

    def add(self, receipts: _Receipts, rows: Int64, late: Bools, after: Int64) -> None:
        """Mark the rows that are `late`; `after` is the receipt that each of all rows should not have followed."""
        fresh = np.flatnonzero(late & ~self.wrong[rows])[: _KEPT - len(self.first)]
        self.first += [(int(rows[n]), int(receipts.element[after[n]])) for n in fresh]
        self.wrong[rows[late]] = True


@dataclass
class _Lost:
    """Which sends did not reach somebody who should have got them."""

    marked: Bools
    first: list[Odd] = field(default_factory=list)

    def add(self, history: History, sends: _Sends, rows: Int64, receiver: str) -> None:
        """Mark sends as lost to a receiver (nobody got them: "")."""
        fresh = rows[~self.marked[rows]][: _KEPT - len(self.first)]
        self.first += [
            Odd(history.keys[sends.key[row]], int(sends.element[row]), receiver, int(sends.id[row]))
            for row in fresh.tolist()
        ]
        self.marked[rows] = True


def _elements(history: History, lines: Int64) -> Int64:
    try:
        values = pc.cast(history.value.take(pa.array(lines)), pa.int64())
        return values.to_numpy(zero_copy_only=False).astype(np.int64, casting="safe")  # type: ignore[no-any-return]
    except (pa.ArrowInvalid, TypeError):
        raise ValueError("an element of a stream in history.jsonl is not a decimal integer") from None


def _sends(history: History) -> _Sends:
    asked, acked = lines_of(history, "send", Mark.INVOKE), lines_of(history, "send", Mark.OK)
    place = places_among(history.id[acked], history.id[asked])
    acked_ns = np.full(len(asked), NEVER, np.int64)
    acked_ns[place[place >= 0]] = history.at_ns[acked[place >= 0]]
    orphans = acked[place < 0]
    lines = np.concatenate([asked, orphans])
    acked_ns = np.concatenate([acked_ns, history.at_ns[orphans]])
    element = _elements(history, lines)
    order = np.lexsort((history.at_ns[lines], element, history.key[lines]))
    lines = lines[order]
    columns = (history.key[lines], element[order], history.id[lines], history.bot[lines])
    return _Sends(*columns, history.at_ns[lines], acked_ns[order])


def _receipts(history: History, sends: _Sends) -> _Receipts:
    lines = lines_of(history, "receive", Mark.OK)
    lines = lines[np.lexsort((history.bot[lines], history.key[lines]))]
    key, bot, element = history.key[lines], history.bot[lines], _elements(history, lines)
    known = Universe(sends.key, sends.element)
    place = np.minimum(known.places(key, element, "left"), len(sends.id) - 1)
    sent = (sends.key[place] == key) & (sends.element[place] == element) if len(sends.id) else np.zeros(len(key), bool)
    by_element = np.lexsort((element, bot, key))  # stable: of equal ones, the first received stays first
    same = np.zeros(len(key), np.bool_)
    columns = (key[by_element], bot[by_element], element[by_element])
    same[1:] = np.logical_and.reduce([one[1:] == one[:-1] for one in columns])
    again = np.empty(len(key), np.bool_)
    again[by_element] = same
    return _Receipts(key, bot, element, history.id[lines], np.where(sent, place, -1), again)


def _phantoms(history: History, receipts: _Receipts) -> Kind:
    rows = np.flatnonzero((receipts.send < 0) & ~receipts.again)
    names = np.unique(np.stack([receipts.key[rows].astype(np.int64), receipts.element[rows]]), axis=1)
    return Kind(names.shape[1], len(receipts.id), [_received(history, receipts, row) for row in rows[:_KEPT].tolist()])


def _duplicated(history: History, receipts: _Receipts) -> Kind:
    rows = np.flatnonzero(receipts.again)
    names = np.stack([receipts.key[rows].astype(np.int64), receipts.bot[rows], receipts.element[rows]])
    count = np.unique(names, axis=1).shape[1]
    return Kind(count, len(receipts.id), [_received(history, receipts, row) for row in rows[:_KEPT].tolist()])


def _received(history: History, receipts: _Receipts, row: int, after: int | None = None) -> Odd:
    key, receiver = history.keys[receipts.key[row]], history.bots[receipts.bot[row]]
    return Odd(key, int(receipts.element[row]), receiver, int(receipts.id[row]), after)


def _lost_to_all(history: History, sends: _Sends, receipts: _Receipts) -> tuple[_Lost, int]:
    """Return what was acknowledged and reached nobody, though something sent later did; and how many acknowledged
    elements can be judged: they reached somebody, or are lost."""
    received = receipts.send[receipts.send >= 0]
    got = _whichever_attempt(sends, received)
    latest_ns = np.full(len(history.keys), -1, np.int64)
    np.maximum.at(latest_ns, sends.key[received], sends.asked_ns[received])
    sure = sends.acked_ns < NEVER
    gone = sure & ~got & (sends.acked_ns < latest_ns[sends.key])
    rows = np.flatnonzero(gone)
    lost = _Lost(np.zeros(len(sends.id), np.bool_))
    lost.add(history, sends, rows[np.argsort(sends.asked_ns[rows], kind="stable")], "")
    return lost, int((sure & (got | gone)).sum())


def _whichever_attempt(sends: _Sends, received: Int64) -> Bools:
    """Mark the received sends with all others of the same element: nobody can tell which attempt it was."""
    fresh = np.ones(len(sends.id), np.bool_)
    fresh[1:] = (sends.key[1:] != sends.key[:-1]) | (sends.element[1:] != sends.element[:-1])
    name = np.cumsum(fresh) - 1
    got = np.zeros(len(sends.id), np.bool_)
    got[name[received]] = True
    marked: Bools = got[name]
    return marked


def _follow_senders(order: _Order, sends: _Sends, receipts: _Receipts) -> None:
    """Find what a receiver got after something that the same sender asked for only after this one's acknowledgement."""
    rows = np.flatnonzero((receipts.send >= 0) & ~receipts.again)
    if not len(rows):
        return
    rows = rows[np.lexsort((sends.bot[receipts.send[rows]], receipts.bot[rows], receipts.key[rows]))]
    send = receipts.send[rows]
    columns = (receipts.key[rows], receipts.bot[rows], sends.bot[send])
    new = np.ones(len(rows), np.bool_)
    new[1:] = np.logical_or.reduce([one[1:] != one[:-1] for one in columns])
    latest = _latest_before(sends.asked_ns[send], new)
    order.judged[rows[~new]] = True
    order.add(receipts, rows, ~new & (sends.acked_ns[send] < sends.asked_ns[send][latest]), rows[latest])


def _latest_before(value: Int64, new: Bools) -> Int64:
    """Return the row of the greatest value before each row in its stretch; of no meaning where one begins (`new`)."""
    by_value = np.argsort(value, kind="stable")
    rank = np.empty(len(value), np.int64)
    rank[by_value] = np.arange(len(value))
    stretch = (np.cumsum(new) - 1) * len(value)
    reached = np.maximum.accumulate(stretch + rank) - stretch
    latest: Int64 = by_value[np.concatenate([reached[:1], reached[:-1]])]
    return latest


def _compare_receivers(order: _Order, lost: _Lost, history: History, sends: _Sends, receipts: _Receipts) -> None:
    """Compare the receivers of each stream with the one that got most; of several, with the one that got them best in
    the order of their senders, and then by name: who was written down first says nothing."""
    rows = np.flatnonzero((receipts.send >= 0) & ~receipts.again)
    new = np.diff(receipts.key[rows], prepend=-1) != 0
    new |= np.diff(receipts.bot[rows], prepend=-1) != 0
    parts = np.split(rows, np.flatnonzero(new)[1:]) if len(rows) else []
    of_stream: dict[int, list[Int64]] = {}
    for part in parts:
        of_stream.setdefault(int(receipts.key[part[0]]), []).append(part)
    place = np.full(len(sends.id), -1, np.int64)
    for parts in of_stream.values():
        reference = min(
            parts, key=lambda part: (-len(part), int(order.wrong[part].sum()), history.bots[receipts.bot[part[0]]])
        )
        place[receipts.send[reference]] = np.arange(len(reference))
        for part in parts:
            if part is not reference:
                at = place[receipts.send[part]]
                _compare_order(order, receipts, part[at >= 0], at[at >= 0], reference)
                _compare_content(lost, history, sends, receipts, part, at, reference)


def _compare_order(order: _Order, receipts: _Receipts, rows: Int64, at: Int64, reference: Int64) -> None:
    """Find receipts (at those places of the reference) that come after one which the reference has later."""
    if len(rows) < 2:
        return
    reached = np.maximum.accumulate(at)
    late = at < reached
    order.judged[rows[1:]] = True
    order.add(receipts, rows, late, reference[reached])


def _compare_content(
    lost: _Lost, history: History, sends: _Sends, receipts: _Receipts, part: Int64, at: Int64, reference: Int64
) -> None:
    """Find what one of the two receivers has between two elements that both have, and the other has not."""
    common = np.flatnonzero(at >= 0)
    if len(common) < 2:
        return
    between = slice(int(at[common].min()), int(at[common].max()))
    has = np.zeros(len(reference), np.bool_)
    has[at[common]] = True
    lost.add(history, sends, receipts.send[reference[between][~has[between]]], history.bots[receipts.bot[part[0]]])
    own = part[common[0] : common[-1]]
    foreign = at[common[0] : common[-1]] < 0
    lost.add(history, sends, receipts.send[own[foreign]], history.bots[receipts.bot[reference[0]]])
