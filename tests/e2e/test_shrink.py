"""A failing run is shrunk to the one of its faults that does it, by running it again for real."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import TINY, Place

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_the_fault_that_does_it_is_left(place: Place) -> None:
    run = place.run("whole", file=TINY.with_name("shrinkable.yaml"))
    assert run.ended(60).code == 1
    planned = json.loads((run.bundle / "plan.json").read_text())["faults"]
    assert {fault["origin"] for fault in planned} == {"timeline[0]", "chaos.faults[0]"}
    shrunk = place.start("shrink", run.bundle, "--out", place.folder / "shrunk").ended(120)
    assert shrunk.code == 0, shrunk
    assert "1 fault of 3 left, and errors still fails; without any one of them it did not" in shrunk.out
    again = place.chaosctl("plan", place.folder / "shrunk" / "experiment.yaml", "--json")
    assert [(fault["kind"], fault["on"]) for fault in again.json["faults"]] == [("partition", "bots-tiny")]
    assert again.json["faults"][0]["inject_ns"] == next(f["inject_ns"] for f in planned if f["kind"] == "partition")
    run.nothing_is_left()
