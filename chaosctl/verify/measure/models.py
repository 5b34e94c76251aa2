"""What operations do to registers, elements of sets, whole sets and queues: the models that `search` explains by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.verify.measure.search import Op, Value


class Register:
    """Absent at first; `write`, `get`, `cas`. The state is the value."""

    start: Value = None

    def observes(self, op: Op) -> bool:
        """Say whether it is a `get`."""
        return op.f == "get"

    def fits(self, op: Op, state: Any) -> bool:
        """A `get` must find the value, and a `cas` what it expects."""
        return op.f == "write" or (op.new if op.f == "get" else op.old) == state

    def after(self, op: Op, state: Any) -> Value:
        """Return what is there afterwards."""
        return op.new

    def helps(self, op: Op, state: Any, after: Any, wanted: Op) -> bool:
        """Whatever `wanted` must find is promising."""
        return bool(after == (wanted.new if wanted.f == "get" else wanted.old if wanted.f == "cas" else None))

    def helping(self, ops: Sequence[Op]) -> list[Op]:
        """Keep those of unknown outcome whose value somebody saw."""
        sure = [op for op in ops if op.done_ns is not None]
        wanted = {op.new for op in sure if op.f == "get"} | {op.old for op in sure if op.f == "cas"}
        left = [op for op in ops if op.done_ns is None]
        while helping := [op for op in left if op.new in wanted]:
            sure += helping
            left = [op for op in left if op.new not in wanted]
            wanted |= {op.old for op in helping if op.f == "cas"}
        return sure

    def size(self, state: Any) -> int:
        """Return 1: it is what others are measured by."""
        return 1

    def said(self, state: Any) -> str:
        """Return the value."""
        return "absent" if state is None else str(state)


class Element:
    """One element of a set, which is not there at first; `add`, `remove`, `contains`. The state: is it there."""

    start = False

    def observes(self, op: Op) -> bool:
        """Say whether it is a `contains`."""
        return op.f == "contains"

    def fits(self, op: Op, state: Hashable) -> bool:
        """A `contains` must say what is; adding what is there and removing what is not change nothing."""
        return op.f != "contains" or (op.new == "yes") == state

    def after(self, op: Op, state: Hashable) -> bool:
        """Return whether it is there afterwards."""
        return op.f == "add"

    def helps(self, op: Op, state: Hashable, after: Hashable, wanted: Op) -> bool:
        """Whatever `wanted` must say is promising."""
        return wanted.f == "contains" and (wanted.new == "yes") == after

    def helping(self, ops: Sequence[Op]) -> list[Op]:
        """Keep unknown adds if somebody found the element, and unknown removes if somebody did not."""
        answers = {op.new for op in ops if op.f == "contains" and op.done_ns is not None}
        needs = {"add": "yes", "remove": "no"}
        return [op for op in ops if op.done_ns is not None or needs[op.f] in answers]

    def size(self, state: Hashable) -> int:
        """Return 1."""
        return 1

    def said(self, state: Hashable) -> str:
        """Return whether it is there."""
        return "there" if state else "not there"


@dataclass(frozen=True)
class WholeSet:
    """A set that is read as a whole, too. The state has a bit for each element; `bits` of `elements` that are known.

    `contents` are the bits of what each `read` (by its id) listed; None where it lists what nobody knows.
    """

    bits: Mapping[Value, int]
    contents: Mapping[int, int | None]
    start: int = 0

    def observes(self, op: Op) -> bool:
        """Say whether it is a `contains` or a `read`."""
        return op.f in ("contains", "read")

    def fits(self, op: Op, state: Any) -> bool:
        """A `contains` must say what is, and a `read` list just that."""
        if op.f == "read":
            return bool(self.contents[op.id] == state)
        return op.f != "contains" or (op.new == "yes") == bool(state & self.bits[op.old])

    def after(self, op: Op, state: Any) -> int:
        """Return the set with or without the element."""
        bit = self.bits[op.old]
        return int(state | bit if op.f == "add" else state & ~bit)

    def helps(self, op: Op, state: Any, after: Any, wanted: Op) -> int:
        """The fewer elements differ from what `wanted` must list, the more promising."""
        if wanted.f == "read":
            return -int(((self.contents[wanted.id] or 0) ^ after).bit_count())
        return int(wanted.f == "contains" and (wanted.new == "yes") == bool(after & self.bits[wanted.old]))

    def helping(self, ops: Sequence[Op]) -> list[Op]:
        """Keep unknown adds of what somebody found, and unknown removes of what somebody did not."""
        reads = [self.contents[op.id] or 0 for op in ops if op.f == "read"]
        found = {(op.old, op.new) for op in ops if op.f == "contains"}
        some, every = 0, -1
        for content in reads:
            some, every = some | content, every & content
        seen = {"add": (some, "yes"), "remove": (~every if reads else 0, "no")}
        return [
            op
            for op in ops
            if op.done_ns is not None or self.bits[op.old] & seen[op.f][0] or (op.old, seen[op.f][1]) in found
        ]

    def size(self, state: Any) -> int:
        """A bit for each element up to the last one that is there."""
        return 1 + int(state).bit_length() // 1024

    def said(self, state: Any) -> str:
        """Return the elements."""
        there = [str(element) for element, bit in self.bits.items() if state & bit]
        return "{" + ", ".join(there[:20]) + (", ..." if len(there) > 20 else "") + "}"


class Queue:
    """Empty at first; `enqueue` at its end, `dequeue` from its front. The state is what is in it, front first.

    A `dequeue` of unknown outcome takes whatever is at the front; one that took nothing found the queue empty.
    """

    start: tuple[Value, ...] = ()

    def __init__(self, ops: Sequence[Op] = ()) -> None:
        self._taken_ns: dict[Value, int] = {}
        for op in ops:
            if op.f == "dequeue" and op.done_ns is not None and op.new is not None:
                self._taken_ns.setdefault(op.new, op.done_ns)

    def observes(self, op: Op) -> bool:
        """Say whether it is a `dequeue` that found nothing."""
        return op.f == "dequeue" and op.done_ns is not None and op.new is None

    def fits(self, op: Op, state: Any) -> bool:
        """A `dequeue` must take what is at the front."""
        if op.f == "enqueue" or op.done_ns is None:
            return True
        return bool(state[0] == op.new if state else op.new is None)

    def after(self, op: Op, state: Any) -> tuple[Value, ...]:
        """Return what is in it afterwards."""
        return (*state, op.new) if op.f == "enqueue" else state[1:]

    def helps(self, op: Op, state: Any, after: Any, wanted: Op) -> tuple[bool, float]:
        """The front that `wanted` must take is promising, and of elements the one that was taken first."""
        front = wanted.f == "dequeue" and after[:1] == (wanted.new,)
        return front, -float(self._taken_ns.get(op.new, 1 << 63)) if op.f == "enqueue" else 0.0

    def helping(self, ops: Sequence[Op]) -> list[Op]:
        """Keep unknown enqueues of what somebody took; what is never taken had better never been there."""
        return [op for op in ops if op.done_ns is not None or op.f == "dequeue" or op.new in self._taken_ns]

    def size(self, state: Any) -> int:
        """A place for each element."""
        return 1 + len(state) // 16

    def said(self, state: Any) -> str:
        """Return what is in it."""
        return "[" + ", ".join(map(str, state[:20])) + (", ..." if len(state) > 20 else "") + "]"
