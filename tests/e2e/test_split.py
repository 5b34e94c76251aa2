"""Replicas that are parted in whole runs: who does not reach whom is tried from inside, proved, and proved gone."""

from __future__ import annotations

import json

import pytest

from chaosctl.safety.engine import Engine, local_engine
from tests.e2e.engines import all_of, exit_code_of
from tests.e2e.harness import HELD, Place, Run

SPLIT = HELD.parent / "split.yaml"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker")]


def reaches(engine: Engine, run: Run, sender: str, taker: str) -> bool:
    """Have a program in the one's container connect to the other."""
    found = engine.ask("GET", f"/containers/chaosctl-{run.run_id}-{taker}/json")
    port = next(iter(found["NetworkSettings"]["Ports"])).partition("/")[0]
    connect = f"import socket; socket.create_connection(('{taker}', {port}), 0.7)"
    return exit_code_of(engine, f"chaosctl-{run.run_id}-{sender}", "python3", "-c", connect) == 0


def test_who_is_parted_does_not_reach_each_other_and_all_do_afterwards(place: Place) -> None:
    engine, run = local_engine(), place.run("split", file=SPLIT)
    run.wait_for("fault_applied", fault="f1-split")
    assert reaches(engine, run, "tiny-1", "tiny-2")
    assert reaches(engine, run, "front-0", "tiny-0")
    assert not reaches(engine, run, "front-0", "tiny-1")
    run.wait_for("fault_healed", fault="f1-split")
    assert reaches(engine, run, "front-0", "tiny-1")
    ended = run.ended()
    assert ended.code == 0, ended
    for event in ("fault_proved", "fault_heal_proved"):
        assert [(one["fault"], one["proved"]) for one in run.events(event)] == [
            (f"f{number}-split", True) for number in (1, 2, 3)
        ]
    first, leader, few = run.verdict()["faults"]
    # Two of the three links of the front are cut with it.
    assert "between 4 of 12 ordered pairs of 4 containers" in first["proof"]
    assert "over 1 of 3 links" in first["proof"]
    assert leader["proof"].startswith("tiny[0] | tiny[1], tiny[2]: ")
    assert "between 2 of 6 ordered pairs" in leader["proof"]
    assert "between 4 of 6 ordered pairs" in few["proof"]
    drawn = json.loads((run.bundle / "plan.json").read_text())["faults"][2]["params"]["groups"]
    assert sorted(index for group in drawn for text in group for index in text[5:-1].split(",")) == ["0", "1", "2"]
    assert run.events("cleanup_failed") == []
    assert all_of(engine, run.run_id) == []
