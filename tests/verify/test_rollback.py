from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure.gone import gone_of
from chaosctl.verify.rollback import CHECKER, RollbackParams
from tests.fixtures.generator import MS, TIMELINE_START, S, TrueFault, Truth, make

F = TIMELINE_START  # when the fault is called
KILL = TrueFault(ready=F + S)
EVERYTHING = {"resume_within": "5s", "depth": "1s", "lost": 10, "observed": "5s", "settled": "5s"}
Write = Callable[["Story"], None]


class Story:
    """Writes history lines by their meaning; ids follow from the order."""

    def __init__(self, writer: HistoryWriter) -> None:
        self._writer = writer
        self._ids = itertools.count(1)

    def event(self, at: int, key: str, **told: str) -> None:
        """What each bot is told: `near_1="settled"`."""
        for bot, value in told.items():
            self._writer.write(at, Mark.OK, next(self._ids), bot, "event", key, value)

    def add(self, at: int, element: int, key: str = "p1", mark: Mark = Mark.OK, bot: str | None = None) -> None:
        """An add that takes 1 ms."""
        id = next(self._ids)
        self._writer.write(at, Mark.INVOKE, id, bot or key, "add", key, str(element))
        self._writer.write(at + MS, mark, id, bot or key, "add", key, str(element))

    def read(self, at: int, content: str, key: str = "p1", took: int = MS, mark: Mark = Mark.OK) -> None:
        id = next(self._ids)
        self._writer.write(at, Mark.INVOKE, id, key, "read", key, None)
        self._writer.write(at + took, mark, id, key, "read", key, content if mark is Mark.OK else None)


def flight(story: Story, key: str = "m1", at: int = F - S, **ends: str) -> None:
    """A match of a and b in flight at the fault; who is told what 2 s after it."""
    story.event(at, key, a="started", b="started")
    story.event(F + 2 * S, key, **ends)


def steady(story: Story) -> None:
    """Ten adds before the fault, none of them lost."""
    for n in range(1, 11):
        story.add(F - S + n * 10 * MS, n)
    story.read(F + 500 * MS, "1-10")


def check(folder: Path, write: Write, *faults: TrueFault, totals: Any = (), **params: Any) -> dict[str, Finding]:
    truth = Truth(history=lambda writer: write(Story(writer)), faults=faults or (KILL,), totals=totals)
    checked = CHECKER.check(make(folder, truth), RollbackParams.model_validate(params or EVERYTHING))
    check.rows = checked.tables["rollback"]  # type: ignore[attr-defined]
    return {finding.name.removeprefix("rollback."): finding for finding in checked.findings}


def rows() -> Any:
    return check.rows  # type: ignore[attr-defined]


def test_what_resumes_and_what_is_rolled_back_as_a_whole_passes(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        steady(story)
        flight(story, "m1", a="settled", b="settled")
        flight(story, "m2", a="rolled_back", b="rolled_back")
        flight(story, "m3", a="settled")  # b was told nothing

    found = check(tmp_path, write, totals=[(F - S, 10), (F + 3 * S, 10)])
    assert set(found) == {"ends", "order", "came_back", "depth", "lost", "observed", "settled", "conserved"}
    assert {one.status for one in found.values()} == {Status.PASS}, found
    assert "of 3 events in flight 2 resumed, 1 rolled back" in found["ends"].why
    (row,) = rows()
    assert (row["in_flight"], row["resumed"], row["rolled_back"], row["gone"]) == (3, 2, 1, 0)
    assert found["settled"].measured.value == 2 * S


@pytest.mark.parametrize(
    ("ends", "fate"),
    [
        ([{"a": "settled", "b": "rolled_back"}], "half_applied"),
        ([{"a": "settled", "b": "absent"}], "half_applied"),
        ([{"a": "absent"}, {"a": "settled"}], "half_applied"),
        ([{"a": "settled"}, {"a": "rolled_back", "b": "settled"}], "both"),
        ([{"a": "absent", "b": "absent"}], "neither"),
        ([{}, {}, {}, {}, {"a": "open"}], "neither"),
        ([{}, {}, {}, {}, {"a": "settled", "b": "settled"}], "late"),
    ],
)
def test_an_end_that_is_none_fails(tmp_path: Path, ends: list[dict[str, str]], fate: str) -> None:
    def write(story: Story) -> None:
        story.event(F - S, "m1", a="started", b="started")
        for n, told in enumerate(ends):
            story.event(F + (2 + n) * S, "m1", **told)

    ends_found = check(tmp_path, write)["ends"]
    assert ends_found.status is Status.FAIL
    assert ends_found.measured.value == 1
    (row,) = rows()
    assert row["in_flight"] == row[fate] == 1
    assert "m1, in flight at f1-kill" in ends_found.evidence[0].text
    assert "a started at 5.000s" in ends_found.evidence[0].text


@pytest.mark.parametrize("told", [{}, {"a": "open"}])
def test_what_nobody_saw_end_is_inconclusive_and_never_settled(tmp_path: Path, told: dict[str, str]) -> None:
    found = check(tmp_path, lambda story: flight(story, **told))
    assert found["ends"].status is Status.INCONCLUSIVE
    assert rows()[0]["not_seen"] == 1
    assert found["settled"].status is Status.INCONCLUSIVE
    assert found["settled"].measured.censored
    assert found["settled"].measured.value == (2 * S if told else 0)


def test_what_never_ends_is_censored_at_the_end_of_what_was_seen(tmp_path: Path) -> None:
    settled = check(tmp_path, lambda story: flight(story, a="absent"))["settled"]
    assert settled.status is Status.FAIL and settled.measured.censored
    assert rows()[0]["never_settled"] and rows()[0]["settled_ns"] is None


def test_without_an_event_in_flight_nothing_is_known_about_one(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - 3 * S, "m1", a="started")
        story.event(F - 2 * S, "m1", a="settled")
        story.event(F + S, "m2", a="started")
        story.event(F + 2 * S, "m2", a="settled")

    ends = check(tmp_path, write)["ends"]
    assert ends.status is Status.INCONCLUSIVE
    assert ends.measured.value is None
    assert rows()[0]["in_flight"] == 0


def test_an_end_that_is_taken_back_after_the_fault_was_in_flight(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - 3 * S, "m1", a="started", b="started")
        story.event(F - S, "m1", a="settled")
        story.event(F + S, "m1", b="rolled_back")

    assert check(tmp_path, write)["ends"].status is Status.FAIL
    assert rows()[0]["half_applied"] == 1


def test_an_event_over_two_faults_counts_at_both_and_is_judged_by_the_last(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - S, "m1", a="started")
        story.event(F + 7 * S, "m1", a="settled")  # 7 s after the first fault, 3 s after the second

    faults = (KILL, TrueFault(id="f2-kill", inject=F + 4 * S))
    found = check(tmp_path, write, *faults)
    assert found["ends"].status is Status.PASS
    assert [row["resumed"] for row in rows()] == [1, 1]
    assert found["settled"].status is Status.INCONCLUSIVE  # before the second fault struck, 4 of the 5 s had passed
    assert check(tmp_path / "2", write, *faults, settled="7s")["settled"].status is Status.PASS
    assert check(tmp_path / "3", write, *faults, settled="3s")["settled"].status is Status.FAIL


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
    (row,) = rows()
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


def test_each_fault_takes_what_was_acknowledged_since_the_one_before(tmp_path: Path) -> None:
    second = TrueFault(id="f2-kill", inject=F + 5 * S)

    def write(story: Story) -> None:
        story.add(F - 100 * MS, 1)
        story.add(F + 2 * S, 2)
        story.add(F + 4 * S, 3)
        story.read(F + 3 * S, "2")
        story.read(F + 6 * S, "2")

    found = check(tmp_path, write, KILL, second)
    assert [(row["acknowledged"], row["gone"]) for row in rows()] == [(1, 1), (2, 1)]
    assert found["depth"].measured.value == 999 * MS
    assert found["order"].status is Status.PASS


def test_what_readers_still_had_after_the_fault_belongs_to_it_all_the_same(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - 100 * MS, 1)
        story.read(F + S, "1")
        story.read(F + 2 * S, "")

    found = check(tmp_path, write)
    assert rows()[0]["gone"] == 1
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
    assert "9 was missing from the read 12 of p1" in came_back.evidence[0].text
    assert came_back.evidence[0].where == "id 13"


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
    assert found["came_back"].status is Status.PASS and rows()[0]["gone"] == 0


def test_reads_that_overlap_say_nothing_about_each_other(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - S, 1)
        story.read(F + S, "", took=3 * S)
        story.read(F + 2 * S, "1")

    assert check(tmp_path, write)["came_back"].status is Status.PASS


@pytest.mark.parametrize("name", ["order", "came_back", "depth", "lost", "observed", "settled"])
def test_what_nobody_looked_for_is_inconclusive(tmp_path: Path, name: str) -> None:
    def unread(story: Story) -> None:
        story.add(F - S, 1)
        if name != "came_back":
            story.read(F - 500 * MS, "1")

    found = check(tmp_path / "unread", unread)
    assert found[name].status is Status.INCONCLUSIVE, found[name]
    assert check(tmp_path / "empty", lambda story: None)[name].status is Status.INCONCLUSIVE


def test_a_time_that_nobody_could_see_exactly_is_inconclusive_around_its_limit(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.add(F - S, 1)
        story.read(F + 3 * S, "1")
        story.read(F + 6 * S, "")

    found = check(tmp_path, write)
    assert (found["observed"].status, found["settled"].status) == (Status.INCONCLUSIVE, Status.INCONCLUSIVE)
    assert check(tmp_path / "2", write, observed="2s")["observed"].status is Status.FAIL


def test_a_total_that_moved_is_part_of_it(tmp_path: Path) -> None:
    found = check(tmp_path, steady, totals=[(F - S, 10), (F + 2 * S, 9)])
    assert found["conserved"].status is Status.FAIL
    assert found["conserved"].checker == "rollback"


def test_without_a_fault_nothing_is_known(tmp_path: Path) -> None:
    failed = TrueFault(failed="no such process")
    found = check(tmp_path, steady, failed)
    assert {found[name].status for name in ("ends", "order", "depth", "settled")} == {Status.INCONCLUSIVE}
    assert rows() == ()


def test_only_what_has_a_limit_is_judged(tmp_path: Path) -> None:
    assert set(check(tmp_path, steady, resume_within="30s")) == {"ends", "order", "came_back"}
    assert set(check(tmp_path / "2", steady, depth="1s")) == {"order", "came_back", "depth"}


def test_a_value_that_is_no_end_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'sttled'; there are: started, settled"):
        check(tmp_path, lambda story: flight(story, a="sttled"))


def trouble(story: Story) -> None:
    """Everything happens: ends of every kind, losses that are allowed, one that comes back, reads that come late."""
    for n in range(1, 11):
        story.add(F - S + n * 10 * MS, n)
        story.add(F + 4 * S + n * 10 * MS, 10 + n)
    flight(story, "m1", a="settled", b="settled")
    flight(story, "m2", a="open", b="open")
    story.event(F + 7 * S, "m2", a="open", b="open")
    story.event(F + 8 * S, "m2", a="rolled_back", b="rolled_back")
    flight(story, "m3", at=F + S, a="settled", b="rolled_back")
    story.read(F + 2 * S, "1-10")
    story.read(F + 9 * S, "1-8,11-18")
    story.read(F + 9 * S + 2 * MS, "1-9,11-18")


@pytest.mark.parametrize("file", ["history.jsonl", "events.jsonl"])
@pytest.mark.parametrize("params", [EVERYTHING, {**EVERYTHING, "lost": 2, "settled": "20s", "observed": "20s"}])
def test_what_is_missing_from_a_recording_is_not_held_against_the_target(
    tmp_path: Path, file: str, params: dict[str, Any]
) -> None:
    faults = (KILL, TrueFault(id="f2-kill", inject=F + 5 * S))
    truth = Truth(history=lambda writer: trouble(Story(writer)), faults=faults, totals=[(F - S, 10), (F + 8 * S, 10)])
    given_params = RollbackParams.model_validate(params)

    def failing() -> set[str]:
        findings = CHECKER.check(Recording.open(tmp_path), given_params).findings
        return {finding.name for finding in findings if finding.status is Status.FAIL}

    make(tmp_path, truth)
    whole = (tmp_path / file).read_bytes()
    known = failing()
    for cut in range(0, len(whole), max(1, len(whole) // 150)):
        (tmp_path / file).write_bytes(whole[:cut])
        assert failing() <= known, f"cut at {cut} of {len(whole)} bytes"


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
