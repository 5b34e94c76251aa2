from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.lost_acks import CHECKER, LostAcksParams
from chaosctl.verify.measure.sets import read_back
from tests.fixtures.generator import LOAD_START, MS, S, TrueFault, Truth, adds_and_read, make

Write = Callable[[HistoryWriter], None]


def check(folder: Path, write: Write | None, at_most: int = 0) -> tuple[Finding, ...]:
    truth = Truth(history=write, faults=[TrueFault(inject=LOAD_START + 800 * MS)])
    return CHECKER.check(make(folder, truth), LostAcksParams.model_validate(at_most)).findings


def test_everything_read_back_passes(tmp_path: Path) -> None:
    lost, phantoms = check(tmp_path, adds_and_read)
    assert (lost.status, phantoms.status) == (Status.PASS, Status.PASS)
    assert lost.measured.value == 0
    assert "0 of 100" in lost.why


def test_lost_ones_fail_with_number_age_and_names(tmp_path: Path) -> None:
    lost, phantoms = check(tmp_path, lambda writer: adds_and_read(writer, lost=range(70, 81)))
    assert lost.status is Status.FAIL
    assert lost.measured.value == 11
    assert "99ms before f1-kill" in lost.why  # element 70 was acknowledged at 701 ms, the fault struck at 800 ms
    assert len(lost.evidence) == 10
    assert "near-1 added 70 to p1" in lost.evidence[0].text
    assert phantoms.status is Status.PASS


def test_so_many_may_be_lost(tmp_path: Path) -> None:
    lost, _ = check(tmp_path, lambda writer: adds_and_read(writer, lost=[3, 4]), at_most=2)
    assert lost.status is Status.PASS and lost.measured.value == 2


def test_what_nobody_added_is_a_phantom(tmp_path: Path) -> None:
    lost, phantoms = check(tmp_path, lambda writer: adds_and_read(writer, extra=[500, 501]))
    assert lost.status is Status.PASS
    assert phantoms.status is Status.FAIL and phantoms.measured.value == 2
    assert "500 is in p1" in phantoms.evidence[0].text


@pytest.mark.parametrize("write", [None, lambda writer: adds_and_read(writer, read=False)])
def test_without_adds_or_reads_it_is_inconclusive(tmp_path: Path, write: Write | None) -> None:
    assert [finding.status for finding in check(tmp_path, write)] == [Status.INCONCLUSIVE] * 2


def test_adds_after_the_last_read_are_unseen(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer)
        writer.write(LOAD_START + 20 * S, Mark.INVOKE, 1, "b", "add", "p1", "101")
        writer.write(LOAD_START + 20 * S + 1, Mark.OK, 1, "b", "add", "p1", "101")

    lost, _ = check(tmp_path, write)
    assert lost.status is Status.INCONCLUSIVE
    assert "1 acknowledged adds were never read back" in lost.why


def test_unknown_outcomes_are_neither_lost_nor_extra(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        for id, element in ((1, "201"), (2, "202")):
            writer.write(LOAD_START, Mark.INVOKE, id, "b", "add", "p1", element)
            writer.write(LOAD_START + 1, Mark.INFO, id, "b", "add", "p1", element)
        adds_and_read(writer, extra=[201])

    assert [finding.status for finding in check(tmp_path, write)] == [Status.PASS] * 2


def test_a_read_of_unknown_outcome_does_not_count(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer)
        writer.write(LOAD_START + 9 * S, Mark.INVOKE, 7, "b", "read", "p1", None)
        writer.write(LOAD_START + 9 * S, Mark.INFO, 7, "b", "read", "p1", None)

    assert check(tmp_path, write)[0].status is Status.PASS


def test_keys_are_apart(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer, key="p1", lost=[5])
        adds_and_read(writer, key="q1")
        adds_and_read(writer, key="r1", lost=[7, 9])

    lost, _ = check(tmp_path, write)
    assert lost.measured.value == 3


def test_a_value_that_is_no_element_is_said(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        writer.write(0, Mark.INVOKE, 1, "b", "add", "k", "seven")

    with pytest.raises(ValueError, match="decimal integer"):
        check(tmp_path, write)


@given(
    acked=st.sets(st.integers(0, 60), max_size=30),
    info=st.sets(st.integers(0, 60), max_size=10),
    read=st.sets(st.integers(0, 70), max_size=50),
)
def test_it_counts_what_plain_sets_count(
    tmp_path_factory: pytest.TempPathFactory, acked: set[int], info: set[int], read: set[int]
) -> None:
    path = tmp_path_factory.mktemp("sets") / "history.jsonl"
    writer = HistoryWriter(path)
    for n, element in enumerate(acked):
        writer.write(n, Mark.INVOKE, n, "b", "add", "k", str(element))
        writer.write(n, Mark.OK, n, "b", "add", "k", None)
    for element in info - acked:
        writer.write(0, Mark.INVOKE, 1000 + element, "b", "add", "k", str(element))
    writer.write(5000, Mark.INVOKE, 5000, "b", "read", "k", None)
    writer.write(5001, Mark.OK, 5000, "b", "read", "k", _as_ranges(sorted(read)))
    writer.close()
    found = read_back(read_history(path, lambda sentence: None))
    assert found.lost_count == len(acked - read)
    assert {lost.element for lost in found.lost} == acked - read
    assert found.phantom_count == len(read - acked - info)
    assert {phantom.element for phantom in found.phantoms} == read - acked - info


def _as_ranges(elements: list[int]) -> str:
    parts: list[list[int]] = []
    for element in elements:
        if parts and parts[-1][1] == element - 1:
            parts[-1][1] = element
        else:
            parts.append([element, element])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
