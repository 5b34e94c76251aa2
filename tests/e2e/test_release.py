"""A bad release of the arena, rolled back: with state that the good one can read, and with state that it cannot."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, carried_by, counted_by_junit, objectives, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DEFECTS = {"readable": "", "unreadable": "unreadable-release"}
Ends = dict[str, tuple[Run, Ended]]
# What a busy machine takes long for is not judged here; what is true on any machine is.
SHORT = sets(
    "swarm.users=30",
    "swarm.ramp=500ms",
    "swarm.rate=5/s",
    "swarm.audit_within=3s",
    "baseline=1500ms",
    "timeline[0].for=2500ms",
    "timeline[1].at=5s",
    "timeline[2].at=9s",
    "duration=14s",
    "objectives.recovery=null",
    "objectives.latency=null",
    "objectives.errors=null",
    "objectives.release.serves_again=9s",
    "objectives.release.failed=90%",
    "objectives.release.consecutive=5",
)


@pytest.fixture(scope="module")
def released(place: Place) -> Ends:
    """Both runs, side by side."""
    runs = {
        name: place.run(name, *SHORT, file=ARENA / "bad-release.yaml", ARENA_DEFECT=defect)
        for name, defect in DEFECTS.items()
    }
    return {name: (run, run.ended(90)) for name, run in runs.items()}


def test_a_release_that_leaves_readable_state_is_rolled_back(released: Ends) -> None:
    run, ended = released["readable"]
    assert ended.code == 0, ended
    run.nothing_is_left()
    assert {one["status"] for one in run.verdict()["objectives"]} == {"pass"}
    world, gateways = run.verdict()["releases"]
    assert (world["deploy"], world["rollback"], world["on"]) == ("f1-deploy", "the end of f1-deploy", "world")
    assert (gateways["deploy"], gateways["rollback"], gateways["on"]) == ("f2-deploy", "f3-rollback", "gateway")
    for row in (world, gateways):
        assert row["answered_by_bad"] > 0
        assert row["failed"] > 0, "the bad one refused something, or players were cut"
        assert row["served_again_ns"] > row["rolled_back_ns"]
    assert (world["both_for_ns"], gateways["both_for_ns"] > 0) == (0, True)
    for fault in run.verdict()["faults"]:
        assert fault["proved"] is True, fault
        assert "with ARENA_RELEASE set" in fault["proof"] or fault["kind"] == "rollback"
    assert run.verdict()["faults"][0]["heal_proved"] is True
    carried_by(run, "embedded")
    counted_by_junit(run)


def test_bots_were_told_who_answers_them(released: Ends) -> None:
    run, _ = released["readable"]
    lines = [json.loads(line) for line in (run.bundle / "history.jsonl").read_text().splitlines()]
    told = [line for line in lines if line["f"] == "version"]
    for service in ("world", "gateway"):
        by_bot: dict[str, list[str]] = {}
        for line in told:
            if line["key"] == service:
                by_bot.setdefault(line["bot"], []).append(line["value"])
        assert len(by_bot) == 30
        assert ["1", "2", "1"] in by_bot.values()
        assert all(values[0] == "1" for values in by_bot.values())


def test_a_release_that_leaves_unreadable_state_fails_with_the_last_words_of_the_good_one(released: Ends) -> None:
    run, ended = released["unreadable"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    found = objectives(run)["release.unreadable"]
    assert found["status"] == "fail"
    assert found["measured"]["value"] >= 1
    assert "its last words: arena.world: " in found["why"]
    assert "is damaged: its checksum is wrong" in found["why"]
    assert found["evidence"][0]["where"].startswith("line ")
    # The others could not look: nobody is accused of anything else.
    assert {one["status"] for name, one in objectives(run).items() if "release" not in name} <= {"inconclusive", "pass"}
    assert run.verdict()["releases"][0]["served_again_ns"] is None
    assert all(fault["proved"] for fault in run.verdict()["faults"])
    for said in (" ".join(ended.out.split()), (run.bundle / "report.html").read_text()):
        assert "is damaged: its checksum is wrong" in said
        assert "failed start" in said
    counted_by_junit(run)
