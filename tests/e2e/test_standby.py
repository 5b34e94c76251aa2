"""The arena with a hot standby: when its leader is killed, nothing is lost; what two leaders lose is seen."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, SHORT, counted_by_junit, objectives, passed, proved, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FEWER = sets("swarm.users=30")
DRIVERS = ["process", pytest.param("docker", marks=pytest.mark.needs("docker"))]
Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module", params=DRIVERS)
def ends(request: pytest.FixtureRequest, place: Place) -> Ends:
    """Two short runs side by side: the leader is killed; the worlds are parted, with two leaders planted."""
    driver = str(request.param)
    words = (*FEWER, *sets(f"target.driver={driver}"))
    planted = {"leader-kill": "", "parted-worlds": "two-leaders"}
    runs = {
        name: place.run(f"{driver}-{name}", *SHORT[name], *words, file=ARENA / f"{name}.yaml", ARENA_DEFECT=defect)
        for name, defect in planted.items()
    }
    return {name: (run, run.ended(150)) for name, run in runs.items()}


def test_the_standby_takes_over_when_the_leader_is_killed(ends: Ends) -> None:
    run, ended = ends["leader-kill"]
    passed(run, ended, "embedded")
    first, second = run.verdict()["faults"]
    assert [fault["asked"] for fault in (first, second)] == ["leader of world"] * 2
    assert first["on"] != second["on"], "who was killed stands by, and the other one leads"


def test_two_leaders_are_seen_by_what_one_of_them_promised(ends: Ends) -> None:
    run, ended = ends["parted-worlds"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    proved(run.verdict())
    found = objectives(run)
    assert found["lost_acks"]["status"] == "fail"
    assert found["lost_acks"]["measured"]["value"] > 0
    assert found["conserved.gold"]["status"] == "pass"
    counted_by_junit(run)
