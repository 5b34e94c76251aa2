"""The reference target, whole: with no defect everything holds over either relay, and each defect is seen and shown."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import ARENA, SHORT, counted_by_junit, objectives, passed, proved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

WORLD_CRASH = ARENA / "world-crash.yaml"
OTHERS = ("gateway-loss", "ledger-partition", "slow-link")
DEFECTS = {"none": "", "wall-clock": "wall-clock", "ack-before-log": "ack-before-log"}
Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module")
def crashed(place: Place) -> Ends:
    """Short runs of world-crash side by side: the arena as it should be, and with a defect each."""
    runs = {
        name: place.run(f"crash-{name}", *SHORT["world-crash"], file=WORLD_CRASH, ARENA_DEFECT=defect)
        for name, defect in DEFECTS.items()
    }
    return {name: (run, run.ended(120)) for name, run in runs.items()}


@pytest.fixture(scope="module")
def others(place: Place) -> Ends:
    """Short runs of the other experiments, side by side."""
    runs = {name: place.run(name, *SHORT[name], file=ARENA / f"{name}.yaml") for name in OTHERS}
    return {name: (run, run.ended(120)) for name, run in runs.items()}


@pytest.mark.needs("toxiproxy")
def test_world_crash_passes_through_a_real_toxiproxy(place: Place) -> None:
    """The file as it is, with all of its users and its own limits."""
    run = place.run("whole", "--relay", "toxiproxy", file=WORLD_CRASH)
    passed(run, run.ended(120), "toxiproxy")
    assert {fault["kind"] for fault in run.verdict()["faults"]} == {"latency", "kill", "partition"}


def test_world_crash_passes_through_the_embedded_relay(crashed: Ends) -> None:
    run, ended = crashed["none"]
    passed(run, ended, "embedded")
    assert {fault["kind"] for fault in run.verdict()["faults"]} == {"latency", "kill", "partition"}


def test_a_wall_clock_in_the_state_is_shown_by_tick_and_field(crashed: Ends) -> None:
    run, ended = crashed["wall-clock"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    proved(run.verdict())
    found = objectives(run)
    assert found["replay"]["status"] == "fail"
    assert found["lost_acks"]["status"] == "pass"
    replays = run.verdict()["replays"]
    assert len(replays) == 3
    tick, field = replays[0]["first_divergence"], replays[0]["diff"][0]["path"]
    assert re.fullmatch(r"players\.\w+-\d+\.moved_at", field)
    assert f"at tick {tick}: {field}" in found["replay"]["why"]
    counted_by_junit(run)
    for said in (" ".join(ended.out.split()), (run.bundle / "report.html").read_text()):
        # Replays that part alike are told together, and all of them meet the clock at the same tick.
        assert f"First divergence: replay-1, replay-2, replay-3 part from live at tick {tick}" in said
        assert field in said


def test_an_acknowledgement_before_the_log_is_named_by_its_operations(crashed: Ends) -> None:
    run, ended = crashed["ack-before-log"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    proved(run.verdict())
    found = objectives(run)
    lost = found["lost_acks"]
    assert lost["status"] == "fail"
    assert lost["measured"]["value"] > 0
    assert re.search(r"the oldest was acknowledged \S+ before f2-kill", lost["why"])
    history = [json.loads(line) for line in (run.bundle / "history.jsonl").read_text().splitlines()]
    for evidence in lost["evidence"]:
        assert evidence["file"] == "history.jsonl"
        lines = [line for line in history if line["id"] == int(evidence["where"].removeprefix("id "))]
        assert [line["mark"] for line in lines] == ["invoke", "ok"]
        assert {line["f"] for line in lines} == {"add"}
        assert f"added {lines[0]['value']} to {lines[0]['key']}," in evidence["text"]
        assert evidence["where"] in (run.bundle / "report.html").read_text()
    counted_by_junit(run)


@pytest.mark.parametrize("name", ("world-crash", *OTHERS))
def test_each_experiment_is_valid_and_has_one_plan(place: Place, name: str) -> None:
    file = ARENA / f"{name}.yaml"
    assert place.chaosctl("validate", file).out.startswith(f"{file}: valid ({name}, ")
    plans = [place.chaosctl("plan", file, "--json", "--seed", "7") for _ in range(2)]
    assert [plan.code for plan in plans] == [0, 0]
    assert plans[0].out == plans[1].out
    assert plans[0].json["experiment"] == name


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_experiments_pass(others: Ends, name: str) -> None:
    run, ended = others[name]
    passed(run, ended, "embedded")
