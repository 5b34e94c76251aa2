"""The summary in a terminal, a pipe, and a terminal of the last century."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from chaosctl.report.console import print_summary
from chaosctl.verify.contract import Evidence, Status, Verdict
from tests.report.bundle import DIVERGENCE, HOSTILE, LATE, LOST, UNSEEN, finding, verdict


def said(judged: Verdict, *, encoding: str = "utf-8", **options: object) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=True)
    console = Console(file=stream, width=80, highlight=False, **options)  # type: ignore[arg-type]
    print_summary(judged, console, Path("/reports/" + "long/" * 20 + "report.html"))
    return raw.getvalue().decode(encoding)


def test_the_verdict_comes_first_and_the_exit_code_last() -> None:
    lines = said(verdict(Status.FAIL, finding(), LOST, UNSEEN, LATE, replays=(DIVERGENCE,))).splitlines()
    assert lines[0].startswith("✘ fail  world-crash")
    assert lines[-1] == "Exit code 1: an objective does not hold."


def test_each_objective_says_expected_measured_and_why() -> None:
    text = said(verdict(Status.FAIL, finding(why="fine"), LOST, UNSEEN, LATE))
    assert "✔ pass" in text and "1.25 s ± 50 ms  (expected ≤ 3 s)" in text
    assert LOST.why in text and UNSEEN.why in text
    assert "history.jsonl id 17" in text
    assert "fine" not in text


def test_what_has_to_be_looked_at_comes_first() -> None:
    text = said(verdict(Status.FAIL, finding(), UNSEEN, LOST))
    assert text.index(LOST.name) < text.index(UNSEEN.name) < text.index("recovery.serviceable")


def test_evidence_does_not_say_the_reason_again() -> None:
    why = "replay-1 parts from live at tick 38"
    evidence = (
        Evidence("a", "tick 38", why),
        Evidence("b", "tick 38", why.replace("-1", "-2")),
        Evidence("c", "", "x"),
    )
    text = said(verdict(Status.FAIL, finding("replay", Status.FAIL, why, evidence=evidence)))
    assert text.count("parts from live") == 1
    assert "see a tick 38\n" in text and "see b tick 38\n" in text and "see c : x" in text


def test_what_does_not_fit_stands_below_as_a_whole() -> None:
    lines = said(verdict(Status.PASS, finding("metrics.some-service.some_long_number.growth"))).splitlines()
    at = next(number for number, line in enumerate(lines) if "some_long_number" in line)
    assert lines[at].endswith("1.25 s ± 50 ms") and lines[at + 1] == "        (expected ≤ 3 s)"


def test_many_factors_that_change_nothing_are_one_line() -> None:
    names = [f"replay.{factor}" for factor in ("clock", "locale", "timezone", "cpu")]
    broken = finding("replay.hash-seed", Status.FAIL, "parts at tick 3")
    text = said(verdict(Status.FAIL, *map(finding, names), broken))
    assert "replay under 4 factors, named below" in text and "deterministic under: clock, locale" in text
    assert "replay.clock" not in text and "replay.hash-seed" in text
    assert "replay.clock" in said(verdict(Status.PASS, *map(finding, names[:3])))


def test_recovery_and_replay_are_shown() -> None:
    text = said(verdict(Status.FAIL, replays=(DIVERGENCE,)))
    assert "20 ms ± 50 ms" in text and "> 11 s" in text
    assert "parts from live at tick 37, in players" in text
    assert "players.near-3.gold" in text


def test_nothing_is_wider_than_the_terminal_but_the_path() -> None:
    lines = said(verdict(Status.FAIL, LOST, LATE, replays=(DIVERGENCE,))).splitlines()
    wide = [line for line in lines if len(line) > 80]
    assert len(wide) == 1 and wide[0].startswith("Report: ") and wide[0].endswith("report.html")


@pytest.mark.parametrize("options", [{}, {"force_terminal": True, "color_system": "truecolor"}])
def test_names_cannot_control_the_terminal(options: dict[str, object]) -> None:
    judged = verdict(Status.FAIL, finding(HOSTILE, Status.FAIL, HOSTILE), notes=(HOSTILE,), experiment=HOSTILE)
    text = said(judged, **options)
    assert "\x1b[31m\n" not in text and "\x1b[31m@" not in text
    assert "[red]" in text


def test_colour_never_says_anything_alone() -> None:
    judged = verdict(Status.FAIL, finding(), LOST, UNSEEN)
    plain = said(judged)
    for word in ("pass", "fail", "inconclusive"):
        assert word in plain


def test_an_old_terminal_gets_what_it_can_show() -> None:
    text = said(verdict(Status.FAIL, finding(), LOST, LATE, replays=(DIVERGENCE,)), encoding="ascii")
    assert "1.25 s +/- 50 ms  (expected <= 3 s)" in text


def test_an_interrupted_run_says_so() -> None:
    text = said(verdict(Status.INCONCLUSIVE, objectives=(), ended="interrupted", recovery=(), replays=()))
    assert "did not complete: interrupted" in text
    assert "No objective was judged" in text
