from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import History, Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify import monotonic_writes, writes_follow_reads
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure import writes
from tests.fixtures.generator import Truth, make
from tests.verify.test_session_guarantees import Op, write

OK, INFO, FAIL = Mark.OK, Mark.INFO, Mark.FAIL


def check(folder: Path, objective: Any, ops: Sequence[Op], at_most: int = 0) -> Finding:
    recording = make(folder, Truth(history=lambda writer: write(writer, ops)))
    params = objective.CHECKER.kind.params.model_validate(at_most)
    (finding,) = objective.CHECKER.check(recording, params).findings
    assert finding.name == objective.CHECKER.kind.name
    return finding


TWO_ADDS: list[Op] = [("a", "add", "1", 1, 2, OK), ("a", "add", "2", 3, 4, OK)]


@pytest.mark.parametrize("content", ["", "1", "1-2"])
def test_adds_that_show_in_their_order_pass(tmp_path: Path, content: str) -> None:
    ops: list[Op] = [*TWO_ADDS, ("b", "read", content, 5, 6, OK), ("b", "read", "1-2", 7, 8, OK)]
    finding = check(tmp_path, monotonic_writes, ops)
    assert finding.status is Status.PASS and finding.measured.value == 0


def test_a_later_add_without_the_earlier_one_fails_with_the_pair_and_the_read(tmp_path: Path) -> None:
    finding = check(tmp_path, monotonic_writes, [*TWO_ADDS, ("b", "read", "2", 5, 6, OK), ("c", "read", "2", 7, 8, OK)])
    assert finding.status is Status.FAIL and finding.measured.value == 1  # one add, in however many reads
    (shown,) = finding.evidence
    assert shown.where == "id 2" and "a had added 1" in shown.text and "(add 0)" in shown.text
    assert "added 2" in shown.text and "(add 1)" in shown.text and "the read 2 of b" in shown.text


@pytest.mark.parametrize(
    "ops",
    [
        [],
        TWO_ADDS,
        [*TWO_ADDS, ("b", "read", "1", 5, 6, OK)],
        [*TWO_ADDS, ("b", "read", "2", 5, 6, INFO)],
        [*TWO_ADDS, ("b", "read", "2", 5, 6, None)],
        [("a", "add", "1", 1, 2, INFO), ("a", "add", "2", 3, 4, OK), ("b", "read", "2", 5, 6, OK)],
        [("a", "add", "1", 1, 2, None), ("a", "add", "2", 3, 4, OK), ("b", "read", "2", 5, 6, OK)],
        [("a", "add", "1", 1, 3, OK), ("a", "add", "2", 3, 4, OK), ("b", "read", "2", 5, 6, OK)],
        [("a", "add", "1", 1, 2, OK), ("b", "add", "2", 3, 4, OK), ("b", "read", "2", 5, 6, OK)],
    ],
    ids=["nothing", "no read", "only the first", "unknown read", "open read", "unknown", "open", "overlap", "two bots"],
)
def test_without_a_read_of_a_later_add_it_is_inconclusive(tmp_path: Path, ops: list[Op]) -> None:
    finding = check(tmp_path, monotonic_writes, ops)
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


def test_a_later_add_of_unknown_outcome_that_is_found_counts(tmp_path: Path) -> None:
    ops: list[Op] = [("a", "add", "1", 1, 2, OK), ("a", "add", "2", 3, 4, INFO), ("b", "read", "2", 5, 6, OK)]
    assert check(tmp_path, monotonic_writes, ops).status is Status.FAIL


ANSWER: list[Op] = [("b", "add", "1", 1, 2, INFO), ("a", "read", "1", 3, 4, OK), ("a", "add", "2", 5, 6, OK)]


def test_an_answer_that_shows_with_what_it_answers_passes(tmp_path: Path) -> None:
    assert check(tmp_path, writes_follow_reads, [*ANSWER, ("c", "read", "1-2", 7, 8, OK)]).status is Status.PASS


def test_an_answer_without_what_it_answers_fails(tmp_path: Path) -> None:
    finding = check(tmp_path, writes_follow_reads, [*ANSWER, ("c", "read", "2", 7, 8, OK)])
    assert finding.status is Status.FAIL and finding.measured.value == 1
    assert "a had read 1 in k" in finding.evidence[0].text and finding.evidence[0].where == "id 3"
    assert check(tmp_path / "tolerant", writes_follow_reads, [*ANSWER, ("c", "read", "2", 7, 8, OK)], 1).status is (
        Status.PASS
    )


@pytest.mark.parametrize(
    "ops",
    [
        [],
        ANSWER,
        [*ANSWER, ("c", "read", "", 7, 8, OK)],
        [("a", "read", "1", 3, 6, OK), ("a", "add", "2", 5, 6, OK), ("c", "read", "2", 7, 8, OK)],
        [("a", "read", "1", 3, 4, INFO), ("a", "add", "2", 5, 6, OK), ("c", "read", "2", 7, 8, OK)],
        [("b", "read", "1", 3, 4, OK), ("a", "add", "2", 5, 6, OK), ("c", "read", "2", 7, 8, OK)],
    ],
    ids=["nothing", "not read", "without the answer", "overlap", "unknown read", "another's read"],
)
def test_without_an_answer_that_is_read_it_is_inconclusive(tmp_path: Path, ops: list[Op]) -> None:
    assert check(tmp_path, writes_follow_reads, ops).status is Status.INCONCLUSIVE


AGAIN: list[Op] = [("a", "add", "5", 1, 2, INFO), ("a", "add", "6", 3, 4, OK), ("a", "add", "5", 7, 8, OK)]


def test_what_is_tried_again_counts_as_written_when_it_was_first_tried(tmp_path: Path) -> None:
    early: Op = ("b", "read", "5", 9, 10, OK)  # it may be the first attempt that shows, before 6
    assert check(tmp_path / "a", monotonic_writes, [*AGAIN, early]).status is Status.INCONCLUSIVE
    refused: Op = ("a", "add", "5", 1, 2, FAIL)  # that attempt had no effect
    assert check(tmp_path / "c", monotonic_writes, [refused, *AGAIN[1:], early]).status is Status.FAIL
    ops: list[Op] = [AGAIN[0], ("c", "add", "6", 3, 4, OK), ("a", "read", "6", 5, 6, OK), AGAIN[2], early]
    assert check(tmp_path / "d", writes_follow_reads, ops).status is Status.INCONCLUSIVE
    assert check(tmp_path / "e", writes_follow_reads, ops[1:]).status is Status.FAIL


@pytest.mark.parametrize("objective", [monotonic_writes, writes_follow_reads])
def test_a_clock_that_went_back_lets_nothing_pass(tmp_path: Path, objective: Any) -> None:
    ops: list[Op] = [*ANSWER, ("a", "add", "3", 7, 8, OK), ("c", "read", "1-3", 9, 10, OK)]
    assert check(tmp_path / "forward", objective, ops).status is Status.PASS
    finding = check(tmp_path / "back", objective, [*ops, ("c", "read", "1-3", 3, 4, OK)])
    assert finding.status is Status.INCONCLUSIVE and "the clock went back 1 times" in finding.why


# Adds of elements 0 to 5 and reads, of three bots; asked for, taking so long; adds may stay unknown.
OPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.one_of(st.none(), st.sets(st.integers(0, 5))),
        st.integers(0, 30),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=12,
)


def history_of(drawn: Sequence[tuple[str, set[int] | None, int, int, bool]]) -> tuple[list[Op], History]:
    ops: list[Op] = []
    for bot, content, asked, took, sure in drawn:
        if content is None:
            element = sum(op[1] == "add" for op in ops)
            ops.append((bot, "add", str(element), asked, asked + took, OK if sure else INFO))
        else:
            ops.append((bot, "read", ",".join(map(str, sorted(content))), asked, asked + took, OK))
    with tempfile.TemporaryDirectory() as folder:
        writer = HistoryWriter(Path(folder) / "history.jsonl")
        write(writer, ops)
        writer.close()
        return ops, read_history(Path(folder) / "history.jsonl", lambda sentence: None)


def elements(op: Op) -> set[str]:
    return set(op[2].split(",")) - {""} if op[1] == "read" else {op[2]}


def lacking(ops: Sequence[Op], earlier: str) -> set[str]:
    """Every element that some read lacks behind a later add of a session, found by trying all threes."""
    added = {op[2] for op in ops if op[1] == "add"}
    return {
        element
        for first in ops
        if first[1] == earlier and first[5] is OK
        for then in ops
        if then[1] == "add" and then[0] == first[0] and first[4] < then[3]
        for seen in ops
        if seen[1] == "read" and then[2] in elements(seen) and then[3] < seen[4]
        for element in (elements(first) & added) - elements(seen)
    }


@settings(max_examples=300, deadline=None)
@given(OPS)
def test_it_finds_what_trying_all_threes_finds(drawn: list[tuple[str, set[int] | None, int, int, bool]]) -> None:
    ops, history = history_of(drawn)
    assert writes.monotonic_writes(history).count == len(lacking(ops, "add"))
    assert writes.writes_follow_reads(history).count == len(lacking(ops, "read"))
