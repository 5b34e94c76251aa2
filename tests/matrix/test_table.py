"""What the matrix calls wrong, and how it is written down."""

from __future__ import annotations

from tests.matrix.cases import Case
from tests.matrix.play import Outcome, complaints
from tests.matrix.table import CAUGHT, HELD, TOUCHED, UNJUDGED, UNSEEN, cell, markdown

LEAK = Case("leak", "steady", ("metrics.*",), {"latency.*": "a machine that swaps is slow"})
CLEAN = Case("", "steady")


def outcome(case: Case, **statuses: str) -> Outcome:
    named = {name.replace("__", "."): status for name, status in statuses.items()}
    return Outcome(case, 0, named, complaints(case, named, {}))


def test_a_defect_that_its_objective_misses_is_wrong_whoever_else_fails() -> None:
    (missed,) = outcome(LEAK, metrics__memory="pass", latency__p99="fail").wrong
    assert missed.startswith("not caught by metrics.*")
    assert "no such finding" in outcome(LEAK, errors="pass").wrong[0]
    assert outcome(LEAK, metrics__memory="inconclusive").wrong


def test_an_alarm_that_nothing_explains_is_wrong_and_an_explained_one_is_not() -> None:
    assert outcome(LEAK, metrics__memory="fail", latency__p99="fail").wrong == ()
    (alarm,) = outcome(LEAK, metrics__memory="fail", lost_acks="fail").wrong
    assert alarm.startswith("lost_acks is fail without a reason")
    assert outcome(LEAK, metrics__memory="fail", lost_acks="inconclusive").wrong


def test_any_alarm_of_the_clean_arena_is_wrong() -> None:
    assert outcome(CLEAN, lost_acks="pass").wrong == ()
    assert outcome(CLEAN, lost_acks="inconclusive").wrong


def test_a_cell_shows_the_worst_of_a_checker_and_whether_it_was_meant() -> None:
    found = outcome(
        LEAK, metrics__memory="fail", metrics__rate="pass", latency__p99="fail", errors="inconclusive", x="pass"
    )
    cells = [cell(found, name) for name in ("metrics", "latency", "errors", "x", "replay")]
    assert cells == [CAUGHT, TOUCHED, UNSEEN, HELD, UNJUDGED]


def test_the_page_says_what_was_caught_and_what_was_not() -> None:
    page = markdown(
        [
            outcome(CLEAN, metrics__memory="pass"),
            outcome(LEAK, metrics__memory="fail", latency__p99="fail"),
            outcome(Case("other", "steady", ("errors",)), errors="pass"),
        ],
        {"leak": "it keeps everything"},
    )
    assert "1 of 2 planted defects were caught" in page
    assert "1 of 1 runs of the clean arena passed" in page
    assert "it keeps everything" in page
    assert "`latency.p99` too: a machine that swaps is slow" in page
    assert "NOT AS IT SHOULD BE: not caught by errors" in page
