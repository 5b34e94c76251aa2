"""Faults that only containers have, in whole runs: each is proved, and proved gone; killed midway, all is undone."""

from __future__ import annotations

import json
import signal

import pytest

from chaosctl.faults.registry import faults
from chaosctl.safety.engine import local_engine
from tests.e2e.engines import all_of, bystander
from tests.e2e.harness import HELD, Place, wait_until

BOXED = HELD.parent / "boxed.yaml"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker")]


def test_each_is_proved_and_proved_gone(place: Place) -> None:
    run = place.run("boxed", file=BOXED)
    ended = run.ended(120.0)
    assert ended.code == 0, ended
    kinds = {"f1-cpu", "f2-memory", "f3-throttle", "f4-loss", "f5-block", "f6-disconnect"}
    assert {one["fault"] for one in run.events("fault_proved") if one["proved"]} == kinds | {"f7-crash", "f8-oom"}
    assert {one["fault"] for one in run.events("fault_heal_proved") if one["proved"]} == kinds
    assert run.events("cleanup_failed") == []
    assert all_of(local_engine(), run.run_id) == []


def test_killed_while_they_are_in_force_nothing_stays_and_nothing_else_is_touched(place: Place) -> None:
    engine = local_engine()
    with bystander(engine) as other:
        before = json.dumps(engine.ask("GET", f"/containers/{other}/json")["NetworkSettings"])
        run = place.run("boxed-killed", file=BOXED)
        wait_until(lambda: any(one["fault"] == "f4-loss" for one in run.events("fault_applied")), "packets are lost")
        run.signal(signal.SIGKILL)
        wait_until(lambda: not all_of(engine, run.run_id), "its containers and its network are gone")
        run.nothing_is_left(within_s=10.0)
        assert run.events("cleanup_failed") == []
        assert json.dumps(engine.ask("GET", f"/containers/{other}/json")["NetworkSettings"]) == before


def test_what_the_kernel_cannot_do_is_refused_before_anything_is_started(place: Place) -> None:
    run = place.run("netem", file=BOXED.with_name("netem.yaml"))
    ended = run.ended()
    if (why := faults()["netem"].kind.lacks()) is None:
        assert ended.code == 0, ended
        assert [one["proved"] for one in run.events("fault_proved") + run.events("fault_heal_proved")] == [True, True]
        return
    assert ended.code == 4, ended
    assert f"netem does not work here: {why}; or leave it out" in ended.out + ended.err
    assert "CONFIG_NET_SCH_NETEM" in why
    assert run.events("relay") == run.events("service_started") == []
    assert all_of(local_engine(), run.run_id) == []
    run.nothing_is_left()
    (looked,) = [one for one in place.chaosctl("doctor", "--json").json if one["name"] == "netem"]
    assert looked["found"] == why
