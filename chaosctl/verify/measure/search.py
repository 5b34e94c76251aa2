"""Can every answer about one object be explained by one order of the operations in real time?

Wing & Gong, "Testing and Verifying Concurrent Objects" (1993), as the just-in-time search of Lowe, "Testing for
linearizability" (2017): go through invokes and completions in order, and let an operation take effect only when some
completion needs it. What has been tried is remembered as (place, state, bit set of the open operations that have taken
effect). Objects are independent (Herlihy & Wing, locality). Three things keep the search small and the answer the same:

- an operation that only observes takes effect as soon as the state is what it answered: it changes nothing
- one of unknown outcome takes effect never, or whenever it helps; which of them can help at all, the model says
- of equal operations of unknown outcome, the one asked for first goes first

A search that is exhausted has met, at its furthest, the first completion that no order explains.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

_CHECK_EVERY = 1024  # states between two looks at the clock
Value = str | None  # None: absent, or nothing


@dataclass(frozen=True, slots=True)
class Op:
    """One operation on an object. `done_ns` None: of unknown outcome. Times are run ns.

    `old` is what a `cas` expects to find, or the element that is added, removed or asked for. `new` is what is there
    afterwards, or the answer: what a `get` found, a `contains` said, a `read` listed, a `dequeue` took.
    """

    id: int
    bot: str
    f: str
    old: Value
    new: Value
    asked_ns: int
    done_ns: int | None


class Model(Protocol):
    """What operations do to an object of one kind. States are compared and remembered, so they are plain values."""

    @property
    def start(self) -> Hashable:
        """The state before any operation."""
        ...

    def observes(self, op: Op) -> bool:
        """Say whether the operation never changes the state."""
        ...

    def fits(self, op: Op, state: Hashable) -> bool:
        """Say whether the operation can take effect in this state, with the answer that it gave."""
        ...

    def after(self, op: Op, state: Hashable) -> Hashable:
        """Return the state after an operation that fits."""
        ...

    def helps(self, op: Op, state: Hashable, after: Hashable, wanted: Op) -> Any:
        """Return how promising it is to let `op` lead to `after`, so that `wanted` may follow; greater is better."""
        ...

    def helping(self, ops: Sequence[Op]) -> list[Op]:
        """Leave out operations of unknown outcome without which every answer can be explained as well as with them."""
        ...

    def size(self, state: Hashable) -> int:
        """Return how much room a state takes, in states of a register."""
        ...

    def said(self, state: Hashable) -> str:
        """Return a state in words."""
        ...


class Answer(Enum):
    """Whether a history can be explained; UNKNOWN: the budget was used up."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judged:
    """What the search found, and how many states it looked at.

    If NO: `stuck` is the first completion that cannot be explained, `among` the other operations that were open then,
    and `possible` the states that the object may have been in, in words.
    """

    answer: Answer
    states: int
    stuck: Op | None = None
    among: tuple[Op, ...] = ()
    possible: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """So many states for one object, which bounds memory too, and an end of the time for all of them."""

    states: int
    until_ns: int
    now_ns: Callable[[], int]

    def allows(self, looked: int, known: int) -> bool:
        """Say whether a search may go on that has looked at so many states, and remembers so many."""
        return known <= self.states and (looked % _CHECK_EVERY != 0 or self.now_ns() < self.until_ns)


_State = tuple[int, Hashable, int]
_Slot = tuple[int, Op]  # the operation's bit, which is used again after its completion


def explain(ops: Sequence[Op], model: Model, budget: Budget) -> Judged:
    """Say whether one order of `ops` explains every answer, beginning with the model's first state."""
    ops = model.helping(ops)
    if sum(op.done_ns is not None for op in ops) > budget.states:
        return Judged(Answer.UNKNOWN, 0)  # even a search that never turns back looks at every completion
    steps = _steps(ops, model)
    todo: list[_State] = [(0, model.start, 0)]
    seen: set[_State] = set(todo)
    furthest, possible, looked, room = -1, set[Hashable](), 0, 1
    while todo:
        if not budget.allows(looked, room):
            return Judged(Answer.UNKNOWN, len(seen))
        looked += 1
        place, value, taken = todo.pop()
        if place == len(steps):
            return Judged(Answer.YES, len(seen))
        step = steps[place]
        if place > furthest:
            furthest, possible = place, set()
        if place == furthest:
            possible.add(value)
        for after in step.after(model, value, taken, place):
            if after not in seen:
                seen.add(after)
                room += model.size(after[1])
                todo.append(after)
    step = steps[furthest]
    among = tuple(op for _, op in (*step.open, *step.unknown[: step.unknowns]) if op is not step.op)
    return Judged(Answer.NO, len(seen), step.op, among, tuple(sorted(map(model.said, possible))))


@dataclass(frozen=True, slots=True)
class _Step:
    """The completion of `op`, which must have taken effect by now, and what else may have."""

    op: Op
    bit: int
    open: tuple[_Slot, ...]
    unknown: list[_Slot]  # of the whole history; asked for by now are the first `unknowns`
    unknowns: int

    def after(self, model: Model, value: Hashable, taken: int, place: int) -> list[_State]:
        """Return the states that may follow, the most promising one last."""
        taken = self._with_observers(model, value, taken)
        if taken & self.bit:
            return [(place + 1, value, taken & ~self.bit)]
        found: list[tuple[bool, Any, _State]] = []
        for bit, op in self._candidates(taken):
            if not model.fits(op, value):
                continue
            state = model.after(op, value)
            if op.done_ns is not None or state != value:
                hope = model.helps(op, value, state, self.op)
                found.append((bit == self.bit, hope, (place, state, taken | bit)))
        found.sort(key=lambda one: one[:2])
        return [state for _, _, state in found]

    def _candidates(self, taken: int) -> list[_Slot]:
        tried: set[tuple[str, Value, Value]] = set()
        found = []
        for bit, op in self.unknown[: self.unknowns]:
            same = (op.f, op.old, op.new)
            if not taken & bit and same not in tried:
                tried.add(same)
                found.append((bit, op))
        return found + [(bit, op) for bit, op in self.open if not taken & bit]

    def _with_observers(self, model: Model, value: Hashable, taken: int) -> int:
        for bit, op in self.open:
            if not taken & bit and model.observes(op) and model.fits(op, value):
                taken |= bit
        return taken


def _steps(ops: Sequence[Op], model: Model) -> list[_Step]:
    """Return the completions in order. At the same moment invokes come first: then the two overlap."""
    events = [(op.asked_ns, 0, n) for n, op in enumerate(ops)]
    events += [(op.done_ns, 1, n) for n, op in enumerate(ops) if op.done_ns is not None]
    bits: dict[int, int] = {}
    free: list[int] = []
    unknown: list[_Slot] = []
    steps = []
    for _, completes, n in sorted(events):
        op = ops[n]
        if completes:
            now_open = tuple((1 << bit, ops[m]) for m, bit in bits.items())
            steps.append(_Step(op, 1 << bits[n], now_open, unknown, len(unknown)))
            free.append(bits.pop(n))
            continue
        bit = free.pop() if free else len(bits) + len(unknown)
        if op.done_ns is None:
            unknown.append((1 << bit, op))
        else:
            bits[n] = bit
    return steps
