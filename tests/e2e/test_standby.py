"""The arena with a hot standby: when its leader is killed, nothing is lost; what two leaders lose is seen."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, SHORT, counted_by_junit, objectives, passed, proved, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

# A busy machine answers late, and has fewer answers.
CALM = sets("swarm.users=30", "probe.timeout=800ms", "objectives.latency={p95: 2s, during: steady}")
# It takes containers a while to come back: the one that was killed is not killed again.
ONCE = {"docker": sets("timeline=[{ at: 0s, fault: kill, on: leader of world }]", "duration=9s"), "process": ()}
DRIVERS = ["process", pytest.param("docker", marks=pytest.mark.needs("docker"))]
Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module", params=DRIVERS)
def ends(request: pytest.FixtureRequest, place: Place) -> Ends:
    """Two short runs side by side: the leader is killed; the worlds are parted, with two leaders planted."""
    driver = str(request.param)
    words = (*CALM, *sets(f"target.driver={driver}"))
    killed = (*SHORT["leader-kill"], *words, *ONCE[driver])
    parted = (*SHORT["parted-worlds"], *words)
    runs = {
        "killed": place.run(f"{driver}-killed", *killed, file=ARENA / "leader-kill.yaml"),
        "parted": place.run(f"{driver}-parted", *parted, file=ARENA / "parted-worlds.yaml", ARENA_DEFECT="two-leaders"),
    }
    return {name: (run, run.ended(150)) for name, run in runs.items()}


def test_the_standby_takes_over_when_the_leader_is_killed(ends: Ends) -> None:
    run, ended = ends["killed"]
    passed(run, ended, "embedded")
    killed = [(fault["asked"], fault["on"]) for fault in run.verdict()["faults"]]
    first, other = killed[0][1], {"world[0]": "world[1]", "world[1]": "world[0]"}
    assert killed in ([("leader of world", first)], [("leader of world", first), ("leader of world", other[first])])
    leader = other[killed[-1][1]].removeprefix("world[").removesuffix("]")
    assert [log.name for log in (run.bundle / "inputs").iterdir()] == [f"world-{leader}.log"]


def test_two_leaders_are_seen_by_what_one_of_them_promised(ends: Ends) -> None:
    run, ended = ends["parted"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    proved(run.verdict())
    found = objectives(run)
    assert found["lost_acks"]["status"] == "fail"
    assert found["lost_acks"]["measured"]["value"] > 0
    assert found["conserved.gold"]["status"] == "pass"
    counted_by_junit(run)
