"""The registers, sets and queues of a history, each with its operations, and whether one order explains its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from chaosctl.recording.model import History, Int64, Mark
from chaosctl.verify.measure.models import Element, Queue, Register, WholeSet
from chaosctl.verify.measure.search import Answer, Budget, Judged, Op, Value, explain
from chaosctl.verify.measure.spans import EMPTY, Spans

# What is said of each kind, and whether one of these makes it one: sets that only grow have objectives of their own.
KINDS = {
    "register": (("write", "get", "cas"), ("write", "get", "cas")),
    "set": (("add", "remove", "contains", "read"), ("remove", "contains")),
    "queue": (("enqueue", "dequeue"), ("enqueue", "dequeue")),
}
ANSWERING = ("get", "cas", "contains", "read", "dequeue")
_DIGITS = 18  # of an element, at most: it fits 64 bits
_UNKNOWN_ANSWERS = ("get", "contains", "read")  # of unknown outcome, these say and do nothing


@dataclass(frozen=True)
class Object:
    """A register, set or queue, and how many lines the history has about it."""

    kind: str
    key: str
    lines: Int64


def objects(history: History) -> list[Object]:
    """Return every object that can be judged, those with the fewest lines first."""
    found = []
    for kind, (fs, telling) in KINDS.items():
        lines = _lines(history, fs)
        tells = np.zeros(len(history.keys), np.bool_)
        tells[history.key[_lines(history, telling)]] = True
        lines = lines[tells[history.key[lines]]]
        lines = lines[np.argsort(history.key[lines], kind="stable")]
        turns = np.flatnonzero(np.diff(history.key[lines]) != 0) + 1
        parts = np.split(lines, turns) if len(lines) else []
        found += [Object(kind, history.keys[history.key[part[0]]], part) for part in parts]
    return sorted(found, key=lambda one: (len(one.lines), one.key))


def _lines(history: History, fs: Sequence[str]) -> Int64:
    return np.flatnonzero(np.isin(history.f, [n for n, f in enumerate(history.fs) if f in fs]))


def answers(history: History, one: Object) -> int:
    """Return how many answers there are about an object."""
    codes = [n for n, f in enumerate(history.fs) if f in ANSWERING]
    return int(((history.mark[one.lines] == Mark.OK) & np.isin(history.f[one.lines], codes)).sum())


def judge_object(history: History, one: Object, budget: Budget) -> Judged:
    """Say whether one order explains every answer about an object. Raises ValueError for odd values.

    More answered operations than the budget has states are not even looked at.
    """
    if int((history.mark[one.lines] == Mark.OK).sum()) > budget.states:
        return Judged(Answer.UNKNOWN, 0)
    return judge_operations(one.kind, operations(history, one.lines), budget)


def judge_operations(kind: str, ops: list[Op], budget: Budget) -> Judged:
    """Say whether one order of the operations on an object of this kind explains every answer."""
    if kind == "register":
        return explain(ops, Register(), budget)
    if kind == "queue":
        return explain(ops, Queue(ops), budget)
    if any(op.f == "read" for op in ops):
        return explain(ops, _whole_set(ops), budget)
    return _judge_elements(ops, budget)


def _judge_elements(ops: list[Op], budget: Budget) -> Judged:
    """Judge each element by itself: without reads, a set is nothing but its elements."""
    by_element: dict[Value, list[Op]] = {}
    for op in ops:
        by_element.setdefault(op.old, []).append(op)
    states, undecided = 0, False
    for element in sorted(by_element, key=lambda one: (len(by_element[one]), str(one))):
        judged = explain(by_element[element], Element(), replace(budget, states=budget.states - states))
        states += judged.states
        if judged.answer is Answer.NO:
            return replace(judged, states=states)
        undecided = undecided or judged.answer is Answer.UNKNOWN
    return Judged(Answer.UNKNOWN if undecided else Answer.YES, states)


def _whole_set(ops: list[Op]) -> WholeSet:
    elements = sorted({op.old for op in ops if op.f != "read" and op.old is not None}, key=lambda one: (len(one), one))
    numbers = np.array([int(element) for element in elements], np.int64)
    contents: dict[int, int | None] = {}
    for op in ops:
        if op.f == "read":
            read = Spans.parse(op.new) | EMPTY
            there = np.flatnonzero(read.has(numbers)).tolist()
            contents[op.id] = sum(1 << n for n in there) if len(there) == len(read) else None
    return WholeSet({element: 1 << n for n, element in enumerate(elements)}, contents)


def operations(history: History, lines: Int64) -> list[Op]:
    """Return what may have happened; failed operations and unanswered questions are left out.

    A completion without its invoke (a torn recording) counts as asked for at the start of the run; where a clock went
    back, an operation lasted from the earlier moment to the later one. Raises ValueError for values outside the
    vocabulary.
    """
    rows = list(
        zip(
            *(column[lines].tolist() for column in (history.id, history.mark, history.at_ns, history.f, history.bot)),
            history.value.take(pa.array(lines)).to_pylist(),
            strict=True,
        )
    )
    asked: dict[int, _Row] = {}
    done: dict[int, _Row] = {}
    for row in rows:
        (asked if row[1] == Mark.INVOKE else done).setdefault(row[0], row)
    found = (_operation(history, asked.get(id), done.get(id)) for id in {**asked, **done})
    return [op for op in found if op is not None]


_Row = tuple[int, int, int, int, int, Value]  # id, mark, at_ns, f, bot, value


def _operation(history: History, asked: _Row | None, done: _Row | None) -> Op | None:
    row = asked or done
    assert row is not None, "an operation has at least one line"
    mark = Mark.INFO if done is None else Mark(done[1])
    f = history.fs[row[3]]
    if mark is Mark.FAIL or (f in _UNKNOWN_ANSWERS and mark is Mark.INFO):
        return None
    old, new = _meaning(f, mark, asked and asked[5], done and done[5])
    asked_ns, done_ns = asked[2] if asked else 0, done[2] if done and mark is Mark.OK else None
    if done_ns is not None:
        asked_ns, done_ns = min(asked_ns, done_ns), max(asked_ns, done_ns)
    return Op(row[0], history.bots[row[4]], f, old, new, asked_ns, done_ns)


def _meaning(f: str, mark: Mark, asked: Value, answered: Value) -> tuple[Value, Value]:
    """Return `old` and `new` of an operation from the values of its two lines."""
    value = answered if f in ("get", "read", "contains", "dequeue") or asked is None else asked
    match f:
        case "cas":
            return _parts(f, value, ">", "old>new")
        case "contains":
            element, answer = _parts(f, value, "=", "17=yes")
            if answer not in ("yes", "no"):
                raise ValueError(f"a contains in history.jsonl has the value {value!r}, which is not like 17=yes")
            return _number(f, element), answer
        case "add" | "remove":
            return _number(f, value), _number(f, value)
        case "dequeue":
            return None, value if mark is Mark.OK else None
        case _:
            return None, value


def _parts(f: str, value: Value, by: str, like: str) -> tuple[str, str]:
    first, sign, second = (value or "").partition(by)
    if not sign:
        raise ValueError(f"a {f} in history.jsonl has the value {(value or '')[:40]!r}, which is not {like}")
    return first, second


def _number(f: str, value: Value) -> str:
    if value is None or not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS):
        raise ValueError(f"a {f} in history.jsonl has the value {(value or '')[:40]!r}, which is no decimal integer")
    return str(int(value))
