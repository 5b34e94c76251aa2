"""A world that is down for longer than a match may be interrupted: what becomes of the matches, and how it is shown."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, objectives, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

# What a busy machine takes long for is not judged here; what is true on any machine is.
SHORT = (
    *sets("swarm.users=60", "swarm.ramp=1s", "swarm.rate=5/s", "baseline=2s", "timeline[0].for=3500ms", "duration=9s"),
    *sets("objectives.recovery=null", "objectives.rollback.resume_within=30s", "objectives.rollback.settled=30s"),
)
WRONG = ("both", "half_applied", "neither", "late", "not_seen")
Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module")
def outages(place: Place) -> Ends:
    """Short runs of long-outage side by side: the arena as it should be, and with a defect."""
    runs = {
        name or "none": place.run(f"outage-{name}", *SHORT, file=ARENA / "long-outage.yaml", ARENA_DEFECT=name)
        for name in ("", "half-rollback")
    }
    return {name: (run, run.ended(120)) for name, run in runs.items()}


def test_matches_are_rolled_back_as_a_whole_and_counted(outages: Ends) -> None:
    run, ended = outages["none"]
    assert ended.code == 0, ended
    run.nothing_is_left()
    (row,) = run.verdict()["rollback"]
    assert row["rolled_back"] > 0
    assert row["rolled_back"] + row["resumed"] == row["in_flight"]
    assert [row[name] for name in (*WRONG, "gone", "unseen")] == [0] * 7
    assert row["settled_ns"] > row["called_ns"] and not row["never_settled"]
    assert f"{row['rolled_back']} rolled back" in (run.bundle / "report.html").read_text()
    assert "Rollback, counted from the inject" in ended.out


def test_a_match_that_is_rolled_back_by_half_is_named(outages: Ends) -> None:
    run, ended = outages["half-rollback"]
    assert ended.code == 1, ended
    found = objectives(run)
    failed = {name for name, objective in found.items() if objective["status"] == "fail"}
    assert failed == {"rollback.ends", "atomic"}
    (row,) = run.verdict()["rollback"]
    assert row["half_applied"] == found["rollback.ends"]["measured"]["value"] > 0
    assert "half-applied" in found["rollback.ends"]["evidence"][0]["text"]
