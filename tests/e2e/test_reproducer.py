"""A defect in a whole run: the shortest log that shows it is in the bundle, and its command, typed, shows it."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.e2e.harness import Place
from tests.e2e.shortened import ARENA, objectives, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

BRIEF = sets(
    "swarm.users=2",
    "swarm.ramp=200ms",
    "swarm.rate=5/s",
    "baseline=300ms",
    "timeline=[]",
    "duration=700ms",
    "objectives={replay: {runs: 2, tamper: 2, minimise: 120s}}",
)


def test_the_command_of_a_reproducer_shows_the_defect(place: Place) -> None:
    run = place.run("wall-clock", *BRIEF, file=ARENA / "world-crash.yaml", ARENA_DEFECT="wall-clock")
    ended = run.ended(150)
    assert ended.code == 1, ended
    found = objectives(run)
    assert found["replay"]["status"] == "fail"
    assert found["replay.isolation"]["why"] == "not tested: because replays part already without it"
    (event,) = run.events("minimised")
    assert event["file"] == "reproducer/plain/input.log", event
    assert event["to_ticks"] < event["from_ticks"]
    # A player comes in and moves; everything else could be left out.
    assert event["minimal"] and event["inputs"] == 3, event
    assert "reproducer/plain/input.log" in ended.out

    *_, last = (run.bundle / "reproducer" / "plain" / "inputs.jsonl").read_text().splitlines()
    tick = json.loads(last)["tick"]
    words = shlex.split(event["shown"])
    assert words[0] == "chaosctl"
    shown = place.chaosctl(*words[1:], ARENA_DEFECT="wall-clock")
    assert shown.code == 1, shown
    assert f" at tick {tick}" in shown.out
    assert f'"tick":{tick},"inputs":[["move",' in shown.out.replace(" ", "")
    assert ".moved_at" in shown.out
    run.nothing_is_left()
