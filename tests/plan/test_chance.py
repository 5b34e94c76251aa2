from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.places import On, parse_on
from chaosctl.plan.build import build_plan
from chaosctl.plan.chance import draw, source_for
from chaosctl.plan.table import plan_rows

S = 1_000_000_000


@given(st.integers(1, 9), st.sets(st.integers(0, 8)), st.integers(0, 2**64), st.data())
def test_what_is_drawn_is_of_those_that_may_be_and_so_many(
    replicas: int, among: set[int], seed: int, data: st.DataObject
) -> None:
    among = {index for index in among if index < replicas}
    on = data.draw(
        st.builds(On, st.just("x"), count=st.integers(1, replicas))
        | st.builds(On, st.just("x"), share=st.floats(0.01, 1))
    )
    drawn = draw(on, sorted(among), replicas, source_for(seed, "f1-on"))
    assert drawn == draw(on, sorted(among), replicas, source_for(seed, "f1-on"))
    if on.at_most(replicas) > len(among):
        assert drawn is None
    else:
        assert drawn is not None
        chosen = parse_on(drawn).replicas or ()
        assert len(chosen) == on.at_most(replicas)
        assert {*chosen} <= among


def test_every_replica_has_its_chance() -> None:
    drawn = {draw(On("x", count=1), range(5), 5, source_for(seed, "f1-on")) for seed in range(200)}
    assert drawn == {f"x[{index}]" for index in range(5)}


@pytest.fixture
def unlucky(loaded: Callable[..., Loaded]) -> Loaded:
    """Return an experiment with three kills of a gateway by chance."""
    made = loaded(items=(("kill", 1 * S, None), ("kill", 2 * S, None), ("kill", 3 * S, None)))
    items = tuple(item.model_copy(update={"on": "any 1 of gateway"}) for item in made.experiment.timeline)
    return replace(made, experiment=made.experiment.model_copy(update={"timeline": items}))


def test_the_same_seed_strikes_the_same_and_another_may_not(unlucky: Loaded, faults: FaultKinds) -> None:
    plans = [build_plan(unlucky, seed, faults) for seed in range(30)]
    assert plans == [build_plan(unlucky, seed, faults) for seed in range(30)]
    assert len({tuple(fault.on for fault in plan.faults) for plan in plans}) == 8


def test_the_plan_shows_what_was_drawn_and_what_was_asked_for(unlucky: Loaded, faults: FaultKinds) -> None:
    plan = build_plan(unlucky, 7, faults)
    assert {fault.on for fault in plan.faults} <= {"gateway[0]", "gateway[1]"}
    assert {fault.asked for fault in plan.faults} == {"any 1 of gateway"}
    shown = [on for _, what, on, _, _ in plan_rows(plan) if what.endswith("-kill")]
    assert shown == [f"{fault.on} (any 1 of gateway)" for fault in plan.faults]


def test_what_is_drawn_for_one_fault_does_not_move_with_the_others(unlucky: Loaded, faults: FaultKinds) -> None:
    items = unlucky.experiment.timeline
    later = (items[0].model_copy(update={"on": "world"}), *items[1:])
    changed = replace(unlucky, experiment=unlucky.experiment.model_copy(update={"timeline": later}))
    for seed in range(20):
        before, after = build_plan(unlucky, seed, faults), build_plan(changed, seed, faults)
        assert before.faults[1:] == after.faults[1:]
