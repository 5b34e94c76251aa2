"""Replays under perturbation, in a whole run: the factor that breaks a target is named, and no other."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Place
from tests.e2e.shortened import ARENA, objectives, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FACTORS = "hash-seed, timezone, environment, working-folder, malloc-fill, clock"
BRIEF = sets(
    "swarm.users=10",
    "swarm.ramp=500ms",
    "baseline=500ms",
    "timeline=[]",
    "duration=2s",
    f"objectives={{replay: {{runs: 2, perturb: [{FACTORS}]}}}}",
)


def test_the_factor_that_breaks_the_arena_is_named(place: Place) -> None:
    runs = {
        name: place.run(f"perturbed-{name}", *BRIEF, file=ARENA / "world-crash.yaml", ARENA_DEFECT=defect)
        for name, defect in (("clean", ""), ("wall-clock", "wall-clock"))
    }
    ended = {name: run.ended() for name, run in runs.items()}
    clean, broken = (objectives(runs[name]) for name in ("clean", "wall-clock"))
    canaries = {one["factor"]: one["reached"] for one in runs["clean"].events("replay_canary")}
    assert set(canaries) == set(FACTORS.split(", "))
    for factor, reached in canaries.items():
        assert clean[f"replay.{factor}"]["status"] == ("pass" if reached else "inconclusive"), ended["clean"].out
    assert canaries["timezone"] and canaries["working-folder"]
    fails = {name for name, finding in broken.items() if finding["status"] == "fail"}
    assert ended["wall-clock"].code == 1
    assert fails == ({"replay", "replay.clock"} if canaries["clock"] else {"replay"})
    for run in runs.values():
        run.nothing_is_left()
