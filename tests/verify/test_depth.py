"""How deep a fault rolled back: the depth, order and came_back of `rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Status
from chaosctl.verify.measure.gone import gone_of
from tests.fixtures.generator import MS, S, TrueFault
from tests.fixtures.stories import KILL, F, Story, Write, check, steady


def test_the_end_of_what_was_acknowledged_may_be_lost_and_is_measured(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        for n in range(1, 11):
            story.add(F - (11 - n) * 100 * MS, n)  # the last three were acknowledged 299, 199 and 99 ms before
        story.read(F + 200 * MS, "", mark=Mark.INFO)
        story.read(F + 700 * MS, "1-7")
        story.add(F + 800 * MS, 11)
        story.read(F + 900 * MS, "1-7,11")

    found = check(tmp_path, write)
    assert {found[name].status for name in ("order", "came_back", "depth", "lost", "observed")} == {Status.PASS}
    assert found["depth"].measured.value == 299 * MS
    assert found["lost"].measured.value == 3
    assert found["observed"].measured.value == 701 * MS
    assert found["observed"].uncertainty == 501 * MS  # somebody tried to look 200 ms after the fault
    assert found["settled"].measured.value == 701 * MS
    assert found["observed"].evidence[0].where == found["settled"].evidence[0].where == "id 12"  # the second read
    assert "p1 added 8 to p1" in found["depth"].evidence[0].text
    (row,) = found.rows
    assert (row["acknowledged"], row["gone"], row["unseen"]) == (10, 3, 0)


@pytest.mark.parametrize(("limit", "status"), [("300ms", Status.PASS), ("299ms", Status.PASS), ("298ms", Status.FAIL)])
def test_the_depth_has_a_limit(tmp_path: Path, limit: str, status: Status) -> None:
    def write(story: Story) -> None:
        story.add(F - 300 * MS, 1)
        story.read(F + S, "")

    assert check(tmp_path, write, depth=limit)["depth"].status is status


def test_more_than_may_be_lost_fails(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        for n in (1, 2, 3):
            story.add(F - 300 * MS + n, n)
        story.read(F + S, "1")

    assert check(tmp_path, write, lost=1)["lost"].status is Status.FAIL
    assert check(tmp_path / "2", write, lost=2)["lost"].status is Status.PASS


def test_a_later_add_that_is_still_there_makes_a_hole(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        for n in range(1, 6):
            story.add(F - S + n * 10 * MS, n)
        story.read(F + S, "1-2,4")

    order = check(tmp_path, write)["order"]
    assert order.status is Status.FAIL
    assert order.measured.value == 1
    assert "p1 added 3 to p1" in order.evidence[0].text and "has 4" in order.evidence[0].text


@pytest.mark.parametrize("case", ["another writer", "at the same time", "unknown outcome", "after the fault"])
def test_what_is_no_later_add_of_the_writer_makes_no_hole(tmp_path: Path, case: str) -> None:
    def write(story: Story) -> None:
        story.add(F - 500 * MS, 1, bot="a")
        match case:
            case "another writer":
                story.add(F - 400 * MS, 2, bot="b")
            case "at the same time":
                story.add(F - 500 * MS + 1, 2, bot="a")
            case "unknown outcome":
                story.add(F - 400 * MS, 2, bot="a", mark=Mark.INFO)
            case _:
                story.add(F + 400 * MS, 2, bot="a")
        story.read(F + S, "2")

    found = check(tmp_path, write)
    assert found["order"].status is Status.PASS
    assert found["lost"].measured.value == 1


def test_what_is_tried_again_may_be_there_by_its_first_attempt(tmp_path: Path) -> None:
    def write(story: Story, first: Mark = Mark.INFO) -> None:
        story.add(F - 500 * MS, 5, mark=first)
        story.add(F - 300 * MS, 6)
        story.add(F - 100 * MS, 5)
        story.read(F + S, "5")

    assert check(tmp_path / "a", write)["order"].status is Status.PASS
    assert check(tmp_path / "b", lambda story: write(story, Mark.FAIL))["order"].status is Status.FAIL


def test_each_fault_takes_what_was_acknowledged_since_the_one_before(tmp_path: Path) -> None:
    second = TrueFault(id="f2-kill", inject=F + 5 * S)

    def write(story: Story) -> None:
        story.add(F - 100 * MS, 1)
        story.add(F + 2 * S, 2)
        story.add(F + 4 * S, 3)
        story.read(F + 3 * S, "2")
        story.read(F + 6 * S, "2")

    found = check(tmp_path, write, KILL, second)
    assert [(row["acknowledged"], row["gone"]) for row in found.rows] == [(1, 1), (2, 1)]
    assert found["depth"].measured.value == 999 * MS
    assert found["order"].status is Status.PASS


def test_what_readers_still_had_after_the_fault_belongs_to_it_all_the_same(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - 100 * MS, 1)
        story.read(F + S, "1")
        story.read(F + 2 * S, "")

    found = check(tmp_path, write)
    assert found.rows[0]["gone"] == 1
    assert found["observed"].measured.value == 2 * S + MS
    assert found["observed"].uncertainty == S + MS


def test_what_comes_back_fails_with_the_reads_named(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        steady(story)
        story.read(F + S, "1-8")
        story.read(F + 2 * S, "1-10")

    came_back = check(tmp_path, write)["came_back"]
    assert came_back.status is Status.FAIL
    assert came_back.measured.value == 2
    assert "9 was missing from the read 13 of p1" in came_back.evidence[0].text
    assert came_back.evidence[0].where == "id 14"


def test_what_was_read_only_once_after_a_fault_cannot_be_seen_to_come_back(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - S, 1)
        story.read(F - 500 * MS, "1")
        story.read(F + S, "1")

    came_back = check(tmp_path, write)["came_back"]
    assert came_back.status is Status.INCONCLUSIVE and "read twice after a fault" in came_back.why


PARTITION = TrueFault("f1-partition", "partition", "a-b", "link", heal=F + 2 * S)


@pytest.mark.parametrize(
    ("faults", "read_at"),
    [
        ([KILL], F + MS // 2),  # between its call and its return
        ([PARTITION], F + S),
        ([KILL, TrueFault(id="f2-kill", inject=F + 4 * S)], F + 2 * S),
    ],
    ids=["being applied", "while it lasts", "before the last fault"],
)
def test_only_a_read_after_a_fault_was_over_shows_that_nothing_is_gone(
    tmp_path: Path, faults: list[TrueFault], read_at: int
) -> None:
    def write(story: Story) -> None:
        for n in range(1, 5):
            story.add(F - S + n * 10 * MS, n)
        story.read(read_at, "1-4")

    found = check(tmp_path / "early", write, *faults)
    assert {found[name].status for name in ("order", "depth", "lost", "observed", "settled")} == {Status.INCONCLUSIVE}
    assert found.rows[-1]["unseen"] == 4
    assert "4 acknowledged operations were never looked for" in found["order"].why

    def read_later(story: Story) -> None:
        write(story)
        story.read(F + 6 * S, "1-4")

    late = check(tmp_path / "late", read_later, *faults)
    assert {late[name].status for name in ("order", "depth", "lost")} == {Status.PASS}


def test_an_add_of_unknown_outcome_comes_back_only_if_it_had_been_seen(tmp_path: Path) -> None:
    def write(*reads: str) -> Write:
        def told(story: Story) -> None:
            story.add(F - S, 1, mark=Mark.INFO)
            for n, content in enumerate(reads):
                story.read(F + n * S, content)

        return told

    assert check(tmp_path / "1", write("", "1"))["came_back"].status is Status.PASS
    assert check(tmp_path / "2", write("1", "", "1"))["came_back"].status is Status.FAIL
    found = check(tmp_path / "3", write("1", ""))
    assert found["came_back"].status is Status.PASS and found.rows[0]["gone"] == 0


def test_ranges_that_touch_are_no_gap(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        steady(story)
        story.read(F + S, "1-3,4-7,8-10")
        story.read(F + 2 * S, "1-3,5,6-9")

    assert check(tmp_path, write).rows[0]["gone"] == 2


def test_reads_that_overlap_say_nothing_about_each_other(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - S, 1)
        story.read(F + S, "", took=3 * S)
        story.read(F + 2 * S, "1")

    assert check(tmp_path, write)["came_back"].status is Status.PASS


SET_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 8), st.sampled_from([Mark.OK, Mark.INFO])),
        st.tuples(st.just("read"), st.sets(st.integers(0, 8)), st.just(Mark.OK)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(operations=SET_OPERATIONS)
def test_it_finds_what_plain_sets_find(tmp_path_factory: pytest.TempPathFactory, operations: list[Any]) -> None:
    path = tmp_path_factory.mktemp("sets") / "history.jsonl"
    writer = HistoryWriter(path)
    story, known, tried, out, lost, back = Story(writer), set(), set(), set(), [], 0
    for n, (what, value, mark) in enumerate(operations):
        if what == "add" and value not in tried:
            tried.add(value)
            known |= {value} if mark is Mark.OK else set()
            story.add(n * 10 * MS, value, mark=mark)
        elif what == "read":
            value = value & tried
            back += len(out & value)
            lost += sorted((known - value) & _first_acknowledged(operations[:n]))
            out = (out - value) | (known - value)
            known = (known | value) - out
            story.read(n * 10 * MS, ",".join(map(str, sorted(value))))
    writer.close()
    found = gone_of(read_history(path, lambda sentence: None))
    assert sorted(found.adds.element[found.gone.row].tolist()) == sorted(lost)
    assert found.returned_count == back


def _first_acknowledged(operations: list[Any]) -> set[int]:
    """Each element is tried once: what counts is the outcome of its first add."""
    first: dict[int, Mark] = {}
    for what, value, mark in operations:
        if what == "add":
            first.setdefault(value, mark)
    return {value for value, mark in first.items() if mark is Mark.OK}
