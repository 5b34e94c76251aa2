from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.linearizable import CHECKER, LinearizableParams
from chaosctl.verify.measure.objects import judge_operations
from chaosctl.verify.measure.search import Answer, Budget, Judged, Op, Value
from tests.fixtures.generator import Truth, make

# bot, f, value, asked for at, completed at, with what mark (None: no completion)
Line = tuple[str, str, str | None, int, int, Mark | None]
OK, INFO, FAIL = Mark.OK, Mark.INFO, Mark.FAIL
PLENTY = Budget(1_000_000, 1, lambda: 0)


def write(writer: HistoryWriter, lines: Sequence[Line], key: str = "k", base: int = 0) -> None:
    for id, (bot, f, value, asked, done, mark) in enumerate(lines, start=base):
        writer.write(asked, Mark.INVOKE, id, bot, f, key, None if f == "get" else value)
        if mark is not None:
            writer.write(done, mark, id, bot, f, key, value)


def check(folder: Path, lines: Sequence[Line], given: Any = True) -> Finding:
    recording = make(folder, Truth(history=lambda writer: write(writer, lines)))
    (finding,) = CHECKER.check(recording, LinearizableParams.model_validate(given)).findings
    return finding


FITTING: dict[str, list[Line]] = {
    "absent at first": [("a", "get", None, 1, 2, OK), ("a", "write", "1", 3, 4, OK), ("b", "get", "1", 5, 6, OK)],
    "old value while it is written": [
        ("a", "write", "1", 1, 2, OK),
        ("a", "write", "2", 3, 9, OK),
        ("b", "get", "1", 4, 5, OK),
        ("b", "get", "2", 6, 7, OK),
    ],
    "unknown write seen much later": [
        ("a", "write", "1", 1, 2, OK),
        ("a", "write", "2", 3, 4, INFO),
        ("b", "get", "1", 5, 6, OK),
        ("b", "get", "2", 7, 8, OK),
    ],
    "unknown write never seen": [("a", "write", "2", 1, 2, None), ("b", "get", None, 3, 4, OK)],
    "failed write never seen": [("a", "write", "2", 1, 2, FAIL), ("b", "get", None, 3, 4, OK)],
    "swap": [("a", "write", "1", 1, 2, OK), ("a", "cas", "1>2", 3, 4, OK), ("b", "get", "2", 5, 6, OK)],
    "failed swap": [("a", "write", "1", 1, 2, OK), ("a", "cas", "3>2", 3, 4, FAIL), ("b", "get", "1", 5, 6, OK)],
    "swap after an unknown swap": [
        ("a", "write", "1", 1, 2, OK),
        ("a", "cas", "1>2", 3, 4, INFO),
        ("b", "cas", "2>3", 5, 6, OK),
    ],
}


@pytest.mark.parametrize("lines", FITTING.values(), ids=FITTING)
def test_what_one_order_explains_passes(tmp_path: Path, lines: list[Line]) -> None:
    finding = check(tmp_path, lines)
    assert finding.status is Status.PASS and finding.measured.value == 0


# With the id of the first answer that cannot be explained.
WRONG: dict[str, tuple[list[Line], int]] = {
    "stale": ([("a", "write", "1", 1, 2, OK), ("a", "write", "2", 3, 4, OK), ("b", "get", "1", 5, 6, OK)], 2),
    "lost": ([("a", "write", "1", 1, 2, OK), ("b", "get", None, 3, 4, OK)], 1),
    "back and forth": (
        [
            ("a", "write", "1", 1, 2, OK),
            ("a", "write", "2", 3, 20, OK),
            ("b", "get", "2", 4, 5, OK),
            ("c", "get", "1", 6, 7, OK),
            ("c", "get", "1", 8, 9, OK),
        ],
        3,
    ),
    "failed write seen": ([("a", "write", "2", 1, 2, FAIL), ("b", "get", "2", 3, 4, OK)], 1),
    "unknown write seen before it was asked for": ([("b", "get", "2", 1, 2, OK), ("a", "write", "2", 3, 4, INFO)], 0),
    "unknown write undone": (
        [
            ("a", "write", "1", 1, 2, OK),
            ("a", "write", "2", 3, 4, INFO),
            ("b", "get", "2", 5, 6, OK),
            ("b", "get", "1", 7, 8, OK),
        ],
        3,
    ),
    "one value swapped twice": (
        [("a", "write", "1", 1, 2, OK), ("a", "cas", "1>2", 3, 6, OK), ("b", "cas", "1>3", 4, 5, OK)],
        1,
    ),
}


@pytest.mark.parametrize(("lines", "id"), WRONG.values(), ids=WRONG)
def test_what_no_order_explains_fails_where_it_first_shows(tmp_path: Path, lines: list[Line], id: int) -> None:
    finding = check(tmp_path, lines)
    assert finding.status is Status.FAIL and finding.measured.value == 1
    assert finding.evidence[0].where == f"id {id}"


def test_the_stretch_names_what_was_going_on_and_what_could_have_been(tmp_path: Path) -> None:
    first, second = check(tmp_path, WRONG["back and forth"][0]).evidence
    assert "c found 1 in k" in first.text and "k can only be 2" in first.text
    assert second.where == "id 1" and "meanwhile a wrote 2 to k" in second.text


@pytest.mark.parametrize(
    "lines",
    [[], [("a", "write", "1", 1, 2, OK)], [("a", "write", "1", 1, 2, OK), ("a", "get", None, 3, 4, INFO)]],
    ids=["nothing", "only writes", "no answer"],
)
def test_without_an_answer_it_is_inconclusive(tmp_path: Path, lines: list[Line]) -> None:
    finding = check(tmp_path, lines)
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


@pytest.mark.parametrize("given", [{"states": 2}, {"budget": "0s"}])
def test_beyond_the_budget_it_is_inconclusive(tmp_path: Path, given: dict[str, Any]) -> None:
    finding = check(tmp_path, FITTING["old value while it is written"], given)
    assert finding.status is Status.INCONCLUSIVE
    assert "1 could not be decided within the budget" in finding.why


def test_one_wrong_register_among_many_is_found(tmp_path: Path) -> None:
    def history(writer: HistoryWriter) -> None:
        for n in range(5):
            write(writer, WRONG["stale"][0] if n == 3 else FITTING["swap"], key=f"k{n}", base=100 * n)

    finding = CHECKER.check(make(tmp_path, Truth(history=history)), LinearizableParams()).findings[0]
    assert finding.status is Status.FAIL and "1 of 5 registers" in finding.why
    assert finding.evidence[0].where == "id 302" and "in k3" in finding.evidence[0].text


def test_a_swap_without_its_arrow_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="old>new"):
        check(tmp_path, [("a", "cas", "1", 1, 2, OK)])


def test_many_unknown_writes_of_the_same_values_are_decided() -> None:
    ops = [Op(n, "a", "write", None, str(n % 3), n, None) for n in range(60)]
    ops += [Op(100 + n, "b", "get", None, str(n * 2 % 3), 100 + 2 * n, 101 + 2 * n) for n in range(60)]
    assert judge_register(ops, PLENTY).answer is Answer.YES
    ops += [Op(999, "b", "get", None, "7", 999, 1000)]
    judged = judge_register(ops, PLENTY)
    assert (judged.answer, judged.stuck) == (Answer.NO, ops[-1])


def test_a_register_with_more_operations_than_states_is_unknown_at_once() -> None:
    ops = [Op(n, "a", "write", None, "1", 2 * n, 2 * n + 1) for n in range(1_000)]
    judged = judge_register(ops, Budget(999, 1, lambda: 0))
    assert (judged.answer, judged.states) == (Answer.UNKNOWN, 0)


def judge_register(ops: Sequence[Op], budget: Budget) -> Judged:
    return judge_operations("register", list(ops), budget)


def fits(ops: Sequence[Op]) -> bool:
    """Every order of every choice of what took effect: slow, and too simple to be wrong."""
    sure = [op for op in ops if op.done_ns is not None]
    unknown = [op for op in ops if op.done_ns is None]
    return any(
        _explains(order)
        for count in range(len(unknown) + 1)
        for chosen in combinations(unknown, count)
        for order in permutations([*sure, *chosen])
    )


def _explains(order: Sequence[Op]) -> bool:
    value: Value = None
    for n, op in enumerate(order):
        if any(later.done_ns is not None and later.done_ns < op.asked_ns for later in order[n + 1 :]):
            return False
        if (op.f == "get" and op.new != value) or (op.f == "cas" and op.old != value):
            return False
        value = op.new
    return True


VALUES = st.sampled_from(["1", "2"])


@st.composite
def histories(draw: st.DrawFn) -> list[Op]:
    ops = []
    for id in range(draw(st.integers(1, 6))):
        f = draw(st.sampled_from(["write", "get", "get", "cas"]))
        new = draw(st.one_of(st.none(), VALUES)) if f == "get" else draw(VALUES)
        asked = draw(st.integers(0, 12))
        sure = f == "get" or draw(st.integers(0, 2)) > 0
        done = asked + draw(st.integers(0, 6)) if sure else None
        ops.append(Op(id, f"b{id}", f, draw(VALUES) if f == "cas" else None, new, asked, done))
    return ops


@settings(max_examples=400, deadline=None)
@given(histories())
def test_it_says_what_trying_every_order_says(ops: list[Op]) -> None:
    judged = judge_register(ops, PLENTY)
    assert judged.answer is (Answer.YES if fits(ops) else Answer.NO)
    if judged.stuck is not None:
        assert judged.stuck.done_ns is not None
        assert not fits(_until(ops, judged.stuck.done_ns))
        assert fits(_until(ops, judged.stuck.done_ns - 1))


def _until(ops: Sequence[Op], at_ns: int) -> list[Op]:
    """What a recording holds that ends here: later completions are not known, and their `get`s say nothing."""
    known = []
    for op in ops:
        done = op.done_ns if op.done_ns is not None and op.done_ns <= at_ns else None
        if op.asked_ns <= at_ns and (done is not None or op.f != "get"):
            known.append(Op(op.id, op.bot, op.f, op.old, op.new, op.asked_ns, done))
    return known


@pytest.mark.parametrize("given", [False, 1, 0, "yes"])
def test_it_is_asked_for_with_true_or_with_parameters(given: Any) -> None:
    with pytest.raises(ValueError, match="write true, or leave it out"):
        LinearizableParams.model_validate(given)
    assert LinearizableParams.model_validate(True) == LinearizableParams.model_validate({})
