"""Replays that part in the same way are told once, and factors with the same result in one line."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from chaosctl.report.replays import divergences, factors_in_short, replay_rows
from chaosctl.verify.contract import Finding, Status


def row(run: str, tick: int | None, digests: list[str]) -> dict[str, Any]:
    """A replay as verdict.json has it."""
    return {"run": run, "against": "live", "first_divergence": tick, "parts": ["players"], "digests": digests}


def test_replays_that_part_alike_are_one_divergence() -> None:
    rows = (row("replay-1", 19, ["a", "b"]), row("replay-2", 19, ["a", "c"]), row("replay-3", None, []))
    (one,) = divergences(SimpleNamespace(replays=rows))  # type: ignore[arg-type]
    assert one.headline == "replay-1, replay-2 part from live at tick 19, in players"
    assert one.digests == "a and b and c"


def test_replays_that_part_elsewhere_are_told_apart() -> None:
    rows = (row("replay-1", 19, ["a", "b"]), row("replay-2", 20, ["a", "b"]))
    headlines = [one.headline for one in divergences(SimpleNamespace(replays=rows))]  # type: ignore[arg-type]
    assert headlines == [
        "replay-1 parts from live at tick 19, in players",
        "replay-2 parts from live at tick 20, in players",
    ]


def test_replays_that_agree_share_a_row_and_the_others_have_their_own() -> None:
    agreeing = [row(f"replay-{number}", None, []) for number in (1, 2, 3, 4)]
    rows = (
        agreeing[0],
        row("x", 19, ["a", "b"]),
        *agreeing[1:],
        row("y", 19, ["a", "b"]),
        {"run": "z", "why_not": "w"},
    )
    shown = replay_rows(SimpleNamespace(replays=rows))  # type: ignore[arg-type]
    assert [one[0] for one in shown] == ["replay-1 and 3 more", "x", "y", "z"]
    assert [one[3][0] for one in shown] == ["✔", "✘", "✘", "?"]


def of(factor: str, status: Status, why: str = "") -> Finding:
    return Finding(f"replay.{factor}", "replay", status, "count", None, None, 0.0, why, ())  # type: ignore[arg-type]


def test_the_factors_are_told_in_short() -> None:
    findings = (
        of("hash-seed", Status.PASS, "the same digest"),
        of("clock", Status.FAIL, "broken by it: ..."),
        of("pace", Status.PASS),
        of("snapshot", Status.INCONCLUSIVE, "not tested: because replays part already without it"),
        of("cpu", Status.INCONCLUSIVE, "not tested: because there is only one CPU to run on"),
        of("restart", Status.INCONCLUSIVE, "not tested: because replays part already without it"),
        of("tamper", Status.PASS),
    )
    assert factors_in_short(findings) == (
        "deterministic under: hash-seed, pace",
        "broken by: clock",
        "not tested: snapshot, restart, because replays part already without it; "
        "cpu, because there is only one CPU to run on",
    )


def test_what_was_not_asked_for_is_not_told() -> None:
    assert factors_in_short((of("hash-seed", Status.PASS),)) == ("deterministic under: hash-seed",)
    assert factors_in_short((replace(of("x", Status.FAIL), name="replay"),)) == ()
