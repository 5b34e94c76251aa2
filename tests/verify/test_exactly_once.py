from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.exactly_once import CHECKER, ExactlyOnceParams
from tests.fixtures.generator import LOAD_START, S, Truth, adds_and_read, make

Write = Callable[[HistoryWriter], None]
LATE = LOAD_START + 10 * S


def check(folder: Path, write: Write | None, at_most: int = 0) -> Finding:
    recording = make(folder, Truth(history=write))
    (finding,) = CHECKER.check(recording, ExactlyOnceParams.model_validate(at_most)).findings
    return finding


def then_read(value: str, id: int = 1) -> Write:
    """A hundred adds and their read, and one more read that says `value`."""

    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer)
        writer.write(LATE, Mark.INVOKE, id, "near-2", "read", "p1", None)
        writer.write(LATE + 1, Mark.OK, id, "near-2", "read", "p1", value)

    return write


def test_everything_there_once_passes(tmp_path: Path) -> None:
    finding = check(tmp_path, adds_and_read)
    assert finding.status is Status.PASS and finding.measured.value == 0
    assert "0 of the 100 elements" in finding.why


@pytest.mark.parametrize(
    ("value", "count", "named"),
    [("1-100,7", 1, 7), ("7,1-100,7,7", 1, 7), ("1-60,50-100", 11, 50), ("3,3,9,9,1-100", 2, 3)],
)
def test_what_is_listed_twice_fails_with_its_names(tmp_path: Path, value: str, count: int, named: int) -> None:
    finding = check(tmp_path, then_read(value, id=42))
    assert finding.status is Status.FAIL and finding.measured.value == count
    assert finding.evidence[0].where == "id 42"
    assert f"{named} is in p1 more than once" in finding.evidence[0].text
    assert len(finding.evidence) == min(count, 10)


def test_the_same_duplicate_in_two_reads_counts_once(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        then_read("1-100,7", id=1)(writer)
        then_read("1-100,7-8", id=2)(writer)

    assert check(tmp_path, write).measured.value == 2


def test_so_many_may_be_there_twice(tmp_path: Path) -> None:
    assert check(tmp_path, then_read("1-100,7,8"), at_most=2).status is Status.PASS


def test_an_add_of_unknown_outcome_may_be_there_once_or_not(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        for id, element in ((1, "201"), (2, "202")):
            writer.write(LOAD_START, Mark.INVOKE, id, "b", "add", "p1", element)
            writer.write(LOAD_START + 1, Mark.INFO, id, "b", "add", "p1", element)
        adds_and_read(writer, extra=[201])

    assert check(tmp_path, write).status is Status.PASS


@pytest.mark.parametrize("write", [None, lambda writer: adds_and_read(writer, read=False)])
def test_without_a_read_it_is_inconclusive(tmp_path: Path, write: Write | None) -> None:
    finding = check(tmp_path, write)
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


def test_adds_after_the_last_read_may_be_there_twice_for_all_we_know(tmp_path: Path) -> None:
    def write(writer: HistoryWriter) -> None:
        adds_and_read(writer)
        writer.write(LATE, Mark.INVOKE, 1, "b", "add", "p1", "101")
        writer.write(LATE + 1, Mark.OK, 1, "b", "add", "p1", "101")

    finding = check(tmp_path, write)
    assert finding.status is Status.INCONCLUSIVE
    assert "1 acknowledged adds were never read back" in finding.why


def test_a_read_that_is_no_ranges_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not ranges"):
        check(tmp_path, then_read("1;2"))
