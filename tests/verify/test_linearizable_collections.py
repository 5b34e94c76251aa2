from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Status
from chaosctl.verify.linearizable import CHECKER
from chaosctl.verify.measure.objects import judge_operations
from chaosctl.verify.measure.search import Answer, Op
from tests.fixtures.generator import Truth, make
from tests.verify.test_linearizable import FAIL, INFO, OK, PLENTY, Line, check

FITTING: dict[str, list[Line]] = {
    "added and removed": [
        ("a", "add", "7", 1, 2, OK),
        ("b", "contains", "7=yes", 3, 4, OK),
        ("a", "remove", "7", 5, 6, OK),
        ("b", "contains", "7=no", 7, 8, OK),
        ("b", "contains", "8=no", 7, 8, OK),
    ],
    "while it is removed": [
        ("a", "add", "7", 1, 2, OK),
        ("a", "remove", "7", 3, 9, OK),
        ("b", "contains", "7=yes", 4, 5, OK),
        ("b", "contains", "7=no", 6, 7, OK),
    ],
    "unknown remove": [
        ("a", "add", "7", 1, 2, OK),
        ("a", "remove", "7", 3, 4, INFO),
        ("b", "contains", "7=yes", 5, 6, OK),
        ("b", "contains", "7=no", 7, 8, OK),
    ],
    "read as a whole": [
        ("a", "add", "1", 1, 2, OK),
        ("a", "add", "2", 3, 4, INFO),
        ("b", "read", "1-2", 5, 6, OK),
        ("a", "remove", "1", 7, 8, OK),
        ("b", "read", "2", 9, 10, OK),
    ],
    "first in first out": [
        ("a", "enqueue", "x", 1, 2, OK),
        ("a", "enqueue", "y", 3, 4, OK),
        ("b", "dequeue", "x", 5, 6, OK),
        ("b", "dequeue", "y", 7, 8, OK),
        ("b", "dequeue", None, 9, 10, OK),
    ],
    "put in at once, in either order": [
        ("a", "enqueue", "x", 1, 5, OK),
        ("b", "enqueue", "y", 2, 4, OK),
        ("c", "dequeue", "x", 6, 7, OK),
        ("c", "dequeue", "y", 8, 9, OK),
    ],
    "taken by a dequeue of unknown outcome": [
        ("a", "enqueue", "x", 1, 2, OK),
        ("a", "enqueue", "y", 3, 4, OK),
        ("b", "dequeue", None, 5, 6, INFO),
        ("c", "dequeue", "y", 7, 8, OK),
    ],
    "failed enqueue": [("a", "enqueue", "x", 1, 2, FAIL), ("c", "dequeue", None, 3, 4, OK)],
}


@pytest.mark.parametrize("lines", FITTING.values(), ids=FITTING)
def test_what_one_order_explains_passes(tmp_path: Path, lines: list[Line]) -> None:
    finding = check(tmp_path, lines)
    assert finding.status is Status.PASS, finding


# With the id of the first answer that cannot be explained, and words about it.
WRONG: dict[str, tuple[list[Line], int, str]] = {
    "removed and still there": (
        [("a", "add", "7", 1, 2, OK), ("a", "remove", "7", 3, 4, OK), ("b", "contains", "7=yes", 5, 6, OK)],
        2,
        "7 in k can only be not there",
    ),
    "two reads that no order has": (
        [
            ("a", "add", "1", 1, 9, OK),
            ("b", "add", "2", 1, 9, OK),
            ("a", "remove", "3", 1, 9, OK),
            ("c", "read", "1", 2, 4, OK),
            ("d", "read", "2", 5, 6, OK),
        ],
        4,
        "d found {2} in k",
    ),
    "out of order": (
        [
            ("a", "enqueue", "x", 1, 2, OK),
            ("a", "enqueue", "y", 3, 4, OK),
            ("b", "dequeue", "y", 5, 6, OK),
        ],
        2,
        "k can only be [x, y]",
    ),
    "taken twice": (
        [("a", "enqueue", "x", 1, 2, OK), ("b", "dequeue", "x", 3, 4, OK), ("c", "dequeue", "x", 3, 5, OK)],
        2,
        "k can only be []",
    ),
    "said to be empty": (
        [("a", "enqueue", "x", 1, 2, OK), ("b", "dequeue", None, 3, 4, OK)],
        1,
        "b took nothing from k",
    ),
}


@pytest.mark.parametrize(("lines", "id", "words"), WRONG.values(), ids=WRONG)
def test_what_no_order_explains_fails_where_it_first_shows(
    tmp_path: Path, lines: list[Line], id: int, words: str
) -> None:
    finding = check(tmp_path, lines)
    assert finding.status is Status.FAIL and finding.measured.value == 1
    assert finding.evidence[0].where == f"id {id}" and words in finding.evidence[0].text


@pytest.mark.parametrize(
    "lines",
    [
        [("a", "add", "7", 1, 2, OK), ("a", "read", "7", 3, 4, OK)],
        [("a", "enqueue", "7", 1, 2, OK)],
        [("a", "remove", "7", 1, 2, OK), ("a", "contains", "7=no", 3, 4, INFO)],
    ],
    ids=["a set that only grows", "nothing taken", "no answer"],
)
def test_without_an_answer_it_is_inconclusive(tmp_path: Path, lines: list[Line]) -> None:
    assert check(tmp_path, lines).status is Status.INCONCLUSIVE


@pytest.mark.parametrize(
    ("f", "value"), [("contains", "7"), ("contains", "7=maybe"), ("contains", "x=yes"), ("remove", "x"), ("remove", "")]
)
def test_values_outside_the_vocabulary_are_said(tmp_path: Path, f: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"a {f} in history.jsonl has the value"):
        check(tmp_path, [("a", "remove", "7", 1, 2, OK), ("a", f, value, 3, 4, OK)])


def test_an_answer_from_before_the_question_is_not_trusted(tmp_path: Path) -> None:
    finding = check(tmp_path, [("a", "enqueue", "x", 5, 2, OK), ("b", "dequeue", "x", 6, 7, OK)])
    assert finding.status is Status.INCONCLUSIVE and "the clock went back" in finding.why


def test_a_set_beyond_the_budget_is_unknown_and_one_wrong_queue_is_still_found(tmp_path: Path) -> None:
    def history(writer: HistoryWriter) -> None:
        for n in range(200):
            writer.write(2 * n, Mark.INVOKE, n, "a", "remove", "big", "1")
            writer.write(2 * n + 1, Mark.OK, n, "a", "remove", "big", "1")
        for id, f in ((1_000, "enqueue"), (1_010, "dequeue")):
            writer.write(id, Mark.INVOKE, id, "a", f, "q", "x")
            writer.write(id + 1, Mark.OK, id, "a", f, "q", "x" if f == "enqueue" else None)

    params = CHECKER.kind.params.model_validate({"states": 100})
    (finding,) = CHECKER.check(make(tmp_path, Truth(history=history)), params).findings
    assert finding.status is Status.FAIL and "1 of 2 queues and sets" in finding.why
    assert "1 could not be decided" in finding.why


def explained(ops: Sequence[Op], start: Any, step: Callable[[Op, Any], Any]) -> bool:
    """Every order of every choice of what took effect: slow, and too simple to be wrong."""
    sure = [op for op in ops if op.done_ns is not None]
    unknown = [op for op in ops if op.done_ns is None]
    return any(
        _in_time(order) and _answers(order, start, step)
        for count in range(len(unknown) + 1)
        for chosen in combinations(unknown, count)
        for order in permutations([*sure, *chosen])
    )


def _in_time(order: Sequence[Op]) -> bool:
    return not any(
        later.done_ns is not None and later.done_ns < op.asked_ns
        for n, op in enumerate(order)
        for later in order[n + 1 :]
    )


def _answers(order: Sequence[Op], state: Any, step: Callable[[Op, Any], Any]) -> bool:
    for op in order:
        state = step(op, state)
        if state is None:
            return False
    return True


def in_set(op: Op, state: frozenset[str]) -> frozenset[str] | None:
    match op.f:
        case "add":
            return state | {str(op.old)}
        case "remove":
            return state - {str(op.old)}
        case "contains":
            return state if (op.new == "yes") == (op.old in state) else None
        case _:
            return state if set((op.new or "").split(",")) - {""} == state else None


def in_queue(op: Op, state: tuple[str, ...]) -> tuple[str, ...] | None:
    if op.f == "enqueue":
        return (*state, str(op.new))
    if op.done_ns is None:
        return state[1:]
    return state[1:] if (state[0] if state else None) == op.new else None


TIMES = st.tuples(st.integers(0, 12), st.integers(0, 6), st.booleans())


@st.composite
def set_histories(draw: st.DrawFn) -> list[Op]:
    ops = []
    kinds = ["add", "remove", "contains", *draw(st.sampled_from([[], ["read"]]))]
    for id in range(draw(st.integers(1, 6))):
        f = draw(st.sampled_from(kinds))
        asked, took, sure = draw(TIMES)
        element = draw(st.sampled_from(["1", "2"]))
        listed = draw(st.sampled_from(["", "1", "2", "1,2", "1,3"])) if f == "read" else None
        new = draw(st.sampled_from(["yes", "no"])) if f == "contains" else listed if f == "read" else element
        done = asked + took if sure or f in ("contains", "read") else None
        ops.append(Op(id, f"b{id}", f, None if f == "read" else element, new, asked, done))
    return ops


@st.composite
def queue_histories(draw: st.DrawFn) -> list[Op]:
    ops = []
    for id in range(draw(st.integers(1, 6))):
        f = draw(st.sampled_from(["enqueue", "dequeue"]))
        asked, took, sure = draw(TIMES)
        value = draw(st.sampled_from(["x", "y", "z", *([None] if f == "dequeue" else [])]))
        ops.append(
            Op(id, f"b{id}", f, None, value if sure or f == "enqueue" else None, asked, asked + took if sure else None)
        )
    return ops


@settings(max_examples=300, deadline=None)
@given(set_histories())
def test_of_sets_it_says_what_trying_every_order_says(ops: list[Op]) -> None:
    judged = judge_operations("set", ops, PLENTY)
    assert judged.answer is (Answer.YES if explained(ops, frozenset(), in_set) else Answer.NO)


@settings(max_examples=300, deadline=None)
@given(queue_histories())
def test_of_queues_it_says_what_trying_every_order_says(ops: list[Op]) -> None:
    judged = judge_operations("queue", ops, PLENTY)
    assert judged.answer is (Answer.YES if explained(ops, (), in_queue) else Answer.NO)
