"""Faults inside a replica, in whole runs: each is proved, and proved gone; killed midway, nothing is left."""

from __future__ import annotations

import signal

import pytest

from chaosctl.safety.engine import local_engine
from tests.e2e.engines import all_of
from tests.e2e.harness import HELD, Place, wait_until
from tests.e2e.shortened import sets

INSIDE = HELD.parent / "inside.yaml"
IN_CONTAINERS = sets("target.driver=docker")

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.mark.parametrize("words", [(), pytest.param(IN_CONTAINERS, marks=pytest.mark.needs("docker"))], ids=str)
def test_each_is_proved_and_proved_gone(place: Place, words: tuple[str, ...]) -> None:
    run = place.run(f"inside-{len(words)}", *words, file=INSIDE)
    ended = run.ended()
    assert ended.code == 0, ended
    kinds = {"f1-freeze", "f2-fill_fds"}
    assert {one["fault"] for one in run.events("fault_proved") if one["proved"]} == kinds
    assert {one["fault"] for one in run.events("fault_heal_proved") if one["proved"]} == kinds
    assert run.events("cleanup_failed") == []
    run.nothing_is_left()


@pytest.mark.needs("docker")
def test_killed_while_they_are_in_force_nothing_is_left(place: Place) -> None:
    engine = local_engine()
    run = place.run("inside-killed", *IN_CONTAINERS, file=INSIDE)
    run.wait_for("fault_proved", fault="f2-fill_fds")
    run.signal(signal.SIGKILL)
    wait_until(lambda: not all_of(engine, run.run_id), "its containers and its network are gone")
    run.nothing_is_left(within_s=10.0)
    assert run.events("cleanup_failed") == []
