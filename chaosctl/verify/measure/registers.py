"""Registers that bots wrote, read and compared-and-swapped: can every answer be explained by one order in real time?

Wing & Gong, "Testing and Verifying Concurrent Objects" (1993), as the just-in-time search of Lowe, "Testing for
linearizability" (2017): go through invokes and completions in order, and let an operation take effect only when some
completion needs it. What has been tried is remembered as (place, value, bit set of the open operations that have taken
effect). Keys are independent (Herlihy & Wing, locality). Three things keep the search small and the answer the same:

- a `get` takes effect as soon as the register has its value: it changes nothing
- an operation of unknown outcome takes effect never, or whenever it helps; it helps only if somebody saw its value
- of equal operations of unknown outcome, the one asked for first goes first

A search that is exhausted has met, at its furthest, the first completion that no order explains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from chaosctl.recording.model import History, Mark

_CHECK_EVERY = 1024  # states between two looks at the clock
_WRITE, _GET, _CAS = "write", "get", "cas"
Value = str | None  # None: absent


@dataclass(frozen=True)
class Op:
    """One operation on a register. `done_ns` None: of unknown outcome. `old` is what a `cas` expects to find.

    `new` is what is there afterwards (for a `get`: what it found). Times are run ns.
    """

    id: int
    bot: str
    f: str
    old: Value
    new: Value
    asked_ns: int
    done_ns: int | None


class Answer(Enum):
    """Whether a history can be explained; UNKNOWN: the budget was used up."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judged:
    """What the search found, and how many states it looked at.

    If NO: `stuck` is the first completion that cannot be explained, `among` the other operations that were open then,
    and `possible` the values that the register may have had.
    """

    answer: Answer
    states: int
    stuck: Op | None = None
    among: tuple[Op, ...] = ()
    possible: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Budget:
    """So many states for one register, which bounds memory too, and an end of the time for all of them."""

    states: int
    until_ns: int
    now_ns: Callable[[], int]

    def allows(self, looked: int, known: int) -> bool:
        """Say whether a search may go on that has looked at so many states, and remembers so many."""
        return known <= self.states and (looked % _CHECK_EVERY != 0 or self.now_ns() < self.until_ns)


def operations(history: History) -> dict[str, list[Op]]:
    """Return by key what may have happened to its register; failed operations and unanswered `get`s are left out.

    A completion without its invoke (a torn recording) counts as asked for at the start of the run. Raises ValueError
    for a `cas` whose value is not `old>new`.
    """
    fs = [i for i, f in enumerate(history.fs) if f in (_WRITE, _GET, _CAS)]
    lines = np.flatnonzero(np.isin(history.f, fs))
    asked: dict[int, int] = {}
    done: dict[int, int] = {}
    for line, id, mark in zip(lines.tolist(), history.id[lines].tolist(), history.mark[lines].tolist(), strict=True):
        (asked if mark == Mark.INVOKE else done).setdefault(id, line)
    found: dict[str, list[Op]] = {}
    for id in {**asked, **done}:
        op = _operation(history, asked.get(id), done.get(id))
        if op is not None:
            line = asked.get(id, done.get(id, 0))
            found.setdefault(history.keys[int(history.key[line])], []).append(op)
    return found


def _operation(history: History, asked: int | None, done: int | None) -> Op | None:
    mark = Mark.INFO if done is None else Mark(int(history.mark[done]))
    line = asked if asked is not None else done
    assert line is not None, "an operation has at least one line"
    f = history.fs[int(history.f[line])]
    if mark is Mark.FAIL or (f == _GET and mark is Mark.INFO):
        return None
    said = [None if at is None else history.value[at].as_py() for at in (asked, done)]
    value: Value = said[1] if f == _GET or said[0] is None else said[0]
    old, new = _swap(value) if f == _CAS else (None, value)
    asked_ns = 0 if asked is None else int(history.at_ns[asked])
    done_ns = int(history.at_ns[done]) if done is not None and mark is Mark.OK else None
    return Op(int(history.id[line]), history.bots[int(history.bot[line])], f, old, new, asked_ns, done_ns)


def _swap(value: Value) -> tuple[str, str]:
    old, arrow, new = (value or "").partition(">")
    if not arrow:
        raise ValueError(f"a cas in history.jsonl has the value {(value or '')[:40]!r}, which is not old>new")
    return old, new


def judge_register(ops: list[Op], budget: Budget) -> Judged:
    """Say whether one order of `ops` explains every answer, beginning with an absent value."""
    ops = _that_help(ops)
    if sum(op.done_ns is not None for op in ops) > budget.states:
        return Judged(Answer.UNKNOWN, 0)  # even a search that never turns back looks at every completion
    steps = _steps(ops)
    todo: list[_State] = [(0, None, 0)]
    seen: set[_State] = set(todo)
    furthest, possible, looked = -1, set[Value](), 0
    while todo:
        if not budget.allows(looked, len(seen)):
            return Judged(Answer.UNKNOWN, len(seen))
        looked += 1
        state = todo.pop()
        place, value, taken = state
        if place == len(steps):
            return Judged(Answer.YES, len(seen))
        step = steps[place]
        if place > furthest:
            furthest, possible = place, set()
        if place == furthest:
            possible.add(value)
        for after in step.after(value, taken, place):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    step = steps[furthest]
    among = tuple(op for _, op in (*step.open, *step.unknown[: step.unknowns]) if op is not step.op)
    return Judged(Answer.NO, len(seen), step.op, among, tuple(sorted(possible, key=lambda one: (one is not None, one))))


_State = tuple[int, Value, int]
_Slot = tuple[int, Op]  # the operation's bit, which is used again after its completion


@dataclass(frozen=True)
class _Step:
    """The completion of `op`, which must have taken effect by now, and what else may have."""

    op: Op
    bit: int
    open: tuple[_Slot, ...]
    unknown: list[_Slot]  # of the whole history; asked for by now are the first `unknowns`
    unknowns: int

    def after(self, value: Value, taken: int, place: int) -> list[_State]:
        """Return the states that may follow, the most promising one last."""
        taken = self._with_gets(value, taken)
        if taken & self.bit:
            return [(place + 1, value, taken & ~self.bit)]
        found: list[_State] = []
        tried: set[tuple[str, Value, Value]] = set()
        for bit, op in self.unknown[: self.unknowns]:
            same = (op.f, op.old, op.new)
            if not taken & bit and same not in tried and op.new != value and _applies(op, value):
                tried.add(same)
                found.append((place, op.new, taken | bit))
        for bit, op in self.open:
            if not taken & bit and op.f != _GET and _applies(op, value):
                found.append((place, op.new, taken | bit))
        wanted = self.op.new if self.op.f == _GET else self.op.old if self.op.f == _CAS else None
        found.sort(key=lambda state: (bool(state[2] & self.bit), state[1] == wanted))
        return found

    def _with_gets(self, value: Value, taken: int) -> int:
        for bit, op in self.open:
            if op.f == _GET and op.new == value:
                taken |= bit
        return taken


def _applies(op: Op, value: Value) -> bool:
    return op.f == _WRITE or op.old == value


def _that_help(ops: list[Op]) -> list[Op]:
    """Leave out operations of unknown outcome whose value nobody saw: an order with them explains nothing more."""
    sure = [op for op in ops if op.done_ns is not None]
    wanted = {op.new for op in sure if op.f == _GET} | {op.old for op in sure if op.f == _CAS}
    left = [op for op in ops if op.done_ns is None]
    while helping := [op for op in left if op.new in wanted]:
        sure += helping
        left = [op for op in left if op.new not in wanted]
        wanted |= {op.old for op in helping if op.f == _CAS}
    return sure


def _steps(ops: list[Op]) -> list[_Step]:
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
