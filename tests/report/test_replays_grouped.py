"""Replays that part in the same way are told once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from chaosctl.report.replays import divergences


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
