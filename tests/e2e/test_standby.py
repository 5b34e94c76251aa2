"""The arena with a hot standby: when its leader is killed, nothing is lost; what two leaders lose is seen."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, SHORT, counted_by_junit, objectives, passed, proved, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

# A busy machine answers late now and then, and has fewer answers.
CALM = sets(
    *("swarm.users=30", "probe.timeout=800ms"),
    *("objectives.latency={p95: 3s, during: steady}", "objectives.recovery.relapses=20"),
)
ONCE = "timeline=[{ at: 0s, fault: kill, on: leader of world }]"
# What is played with each driver. A container takes long to come back, so it is killed once; a split takes containers.
IN_CONTAINERS = {
    "killed": ("leader-kill", "", sets(ONCE, "duration=9s")),
    "planted": ("split-brain", "two-leaders", ()),
}
PLAYED = {
    "process": {"killed": ("leader-kill", "", ()), "planted": ("parted-worlds", "two-leaders", ())},
    "docker": IN_CONTAINERS,
    "compose": IN_CONTAINERS,
}
DRIVERS = [
    "process",
    pytest.param("docker", marks=pytest.mark.needs("docker")),
    pytest.param("compose", marks=pytest.mark.needs("docker", "compose")),
]
Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module", params=DRIVERS)
def ends(request: pytest.FixtureRequest, place: Place) -> Ends:
    """Short runs side by side."""
    driver = str(request.param)
    runs = {}
    for name, (experiment, defect, own) in PLAYED[driver].items():
        words = (*SHORT[experiment], *CALM, *own, *sets(f"target.driver={driver}"))
        runs[name] = place.run(f"{driver}-{name}", *words, file=ARENA / f"{experiment}.yaml", ARENA_DEFECT=defect)
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
    run, ended = ends["planted"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    proved(run.verdict())
    found = objectives(run)
    assert found["lost_acks"]["status"] == "fail"
    assert found["lost_acks"]["measured"]["value"] > 0
    assert found["conserved.gold"]["status"] == "pass"
    counted_by_junit(run)


@pytest.mark.needs("docker")
def test_whichever_half_of_the_network_has_the_leader_one_leads(place: Place) -> None:
    run = place.run("split", *SHORT["split-brain"], *CALM, file=ARENA / "split-brain.yaml")
    passed(run, run.ended(150), "embedded")
