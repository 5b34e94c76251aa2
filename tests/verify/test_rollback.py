from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Status
from chaosctl.verify.rollback import CHECKER, RollbackParams
from tests.fixtures.generator import MS, S, TrueFault, Truth, make
from tests.fixtures.stories import EVERYTHING, KILL, F, Story, check, flight, steady


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
    (row,) = found.rows
    assert (row["in_flight"], row["resumed"], row["rolled_back"], row["gone"]) == (3, 2, 1, 0)
    assert found["settled"].measured.value == 2 * S


@pytest.mark.parametrize(
    ("ends", "fate"),
    [
        ([{"a": "settled", "b": "rolled_back"}], "half_applied"),
        ([{"a": "settled", "b": "absent"}], "half_applied"),
        ([{"a": "absent"}, {"a": "settled"}], "half_applied"),
        ([{"a": "settled"}, {}, {}, {}, {}, {}, {"b": "open"}], "half_applied"),
        ([{"a": "settled", "b": "settled"}, {}, {}, {}, {}, {}, {"b": "open"}], "half_applied"),
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

    found = check(tmp_path, write)
    ends_found = found["ends"]
    assert ends_found.status is Status.FAIL
    assert ends_found.measured.value == 1
    (row,) = found.rows
    assert row["in_flight"] == row[fate] == 1
    assert "m1, in flight at f1-kill" in ends_found.evidence[0].text
    assert "a: started 5.000s" in ends_found.evidence[0].text


@pytest.mark.parametrize(
    "ends",
    [
        [{"a": "settled"}, {"b": "open"}],  # it had been asked before, or is told soon
        [{"a": "settled"}, {}, {}, {}, {}, {}, {"b": "open"}, {"b": "settled"}],
    ],
)
def test_an_answer_that_it_is_open_that_is_overtaken_by_the_end_is_no_contradiction(
    tmp_path: Path, ends: list[dict[str, str]]
) -> None:
    def write(story: Story) -> None:
        story.event(F - S, "m1", a="started", b="started")
        for n, told in enumerate(ends):
            story.event(F + (2 + n) * S, "m1", **told)

    found = check(tmp_path, write)
    assert found["ends"].status is Status.PASS and found.rows[0]["resumed"] == 1


@pytest.mark.parametrize("end", [{}, {"a": "settled"}, {"a": "rolled_back"}])
def test_a_name_that_is_used_again_cannot_be_followed(tmp_path: Path, end: dict[str, str]) -> None:
    def write(story: Story) -> None:
        flight(story, "m1", a="settled", b="settled")
        story.event(F - 4 * S, "m2", a="started")
        story.event(F - 3 * S, "m2", a="settled")
        story.event(F - S, "m2", a="started")
        story.event(F + S, "m2", **end)

    found = check(tmp_path, write)
    assert found["ends"].status is found["settled"].status is Status.INCONCLUSIVE
    assert (found.rows[0]["resumed"], found.rows[0]["not_seen"]) == (1, 1)


@pytest.mark.parametrize("told", [{}, {"a": "open"}])
def test_what_nobody_saw_end_is_inconclusive_and_never_settled(tmp_path: Path, told: dict[str, str]) -> None:
    found = check(tmp_path, lambda story: flight(story, **told))
    assert found["ends"].status is Status.INCONCLUSIVE
    assert found.rows[0]["not_seen"] == 1
    assert found["settled"].status is Status.INCONCLUSIVE
    assert found["settled"].measured.censored
    assert found["settled"].measured.value == (2 * S if told else 0)


def test_what_never_ends_is_censored_at_the_end_of_what_was_seen(tmp_path: Path) -> None:
    found = check(tmp_path, lambda story: flight(story, a="absent"))
    assert found["settled"].status is Status.FAIL and found["settled"].measured.censored
    assert found.rows[0]["never_settled"] and found.rows[0]["settled_ns"] is None


def test_without_an_event_in_flight_nothing_is_known_about_one(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - 3 * S, "m1", a="started")
        story.event(F - 2 * S, "m1", a="settled")
        story.event(F + S, "m2", a="started")
        story.event(F + 2 * S, "m2", a="settled")

    found = check(tmp_path, write)
    assert found["ends"].status is Status.INCONCLUSIVE
    assert found["ends"].measured.value is None
    assert found.rows[0]["in_flight"] == 0


def test_an_end_that_is_taken_back_after_the_fault_was_in_flight(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - 3 * S, "m1", a="started", b="started")
        story.event(F - S, "m1", a="settled")
        story.event(F + S, "m1", b="rolled_back")

    found = check(tmp_path, write)
    assert found["ends"].status is Status.FAIL
    assert found.rows[0]["half_applied"] == 1


def test_an_event_over_two_faults_counts_at_both_and_is_judged_by_the_last(tmp_path: Path) -> None:
    def write(story: Story) -> None:
        story.event(F - S, "m1", a="started")
        story.event(F + 7 * S, "m1", a="settled")  # 7 s after the first fault, 3 s after the second

    faults = (KILL, TrueFault(id="f2-kill", inject=F + 4 * S))
    found = check(tmp_path, write, *faults)
    assert found["ends"].status is Status.PASS
    assert [row["resumed"] for row in found.rows] == [1, 1]
    assert found["settled"].status is Status.INCONCLUSIVE  # before the second fault struck, 4 of the 5 s had passed
    assert check(tmp_path / "2", write, *faults, settled="7s")["settled"].status is Status.PASS
    assert check(tmp_path / "3", write, *faults, settled="3s")["settled"].status is Status.FAIL


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
    assert found.rows == ()


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
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / file).write_bytes(whole[:cut])
        assert failing() <= known, f"cut at {cut} of {len(whole)} bytes"
