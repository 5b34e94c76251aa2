from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.experiment.kinds import FaultKind, FaultKinds, Params
from chaosctl.experiment.loader import Loaded
from chaosctl.plan.build import build_plan
from chaosctl.plan.model import PlannedFault
from chaosctl.plan.subset import only, units

S = 1_000_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_left_is_as_it_was_and_the_rest_is_gone(
    experiments: st.SearchStrategy[Loaded], faults: FaultKinds, data: st.DataObject
) -> None:
    plan = build_plan(data.draw(experiments), 7, faults)
    assert only(plan, {fault.id for fault in plan.faults}) == plan
    kept = data.draw(st.sets(st.sampled_from([fault.id for fault in plan.faults]))) if plan.faults else set()
    fewer = only(plan, kept)
    assert [fault for fault in plan.faults if fault.id in kept] == list(fewer.faults)
    assert {step.fault for step in fewer.steps} - {None} == kept
    assert [step for step in plan.steps if step.fault is None] == [step for step in fewer.steps if step.fault is None]
    assert fewer.bots == plan.bots
    assert sorted(fault for unit in units(plan, faults) for fault in unit) == sorted(fault.id for fault in plan.faults)


@pytest.fixture
def releases(loaded: Callable[..., Loaded], faults: FaultKinds) -> tuple[Callable[..., object], FaultKinds]:
    """Return how to find the units of some faults on services, and their kinds."""
    kinds = {
        **faults,
        "deploy": FaultKind("deploy", "service", Params, "optional", "life", "", ""),
        "rollback": FaultKind("rollback", "service", Params, "never", "life", "", "", follows="deploy"),
    }
    plan = build_plan(loaded(), 7, faults)

    def of(*those: tuple[str, str, str]) -> object:
        planned = (PlannedFault(i, k, "service", on, {}, n * S, None) for n, (i, k, on) in enumerate(those))
        return units(replace(plan, faults=tuple(planned)), kinds)

    return of, kinds


def test_a_rollback_goes_with_the_deploy_that_it_follows(releases: tuple[Callable[..., object], FaultKinds]) -> None:
    of, _ = releases
    assert of(("a", "deploy", "world"), ("b", "kill", "world"), ("c", "rollback", "world[0]")) == (("a", "c"), ("b",))
    assert of(("a", "deploy", "world"), ("b", "deploy", "world"), ("c", "rollback", "world")) == (("a",), ("b", "c"))
    assert of(("a", "deploy", "world"), ("b", "deploy", "gate"), ("c", "rollback", "world")) == (("a", "c"), ("b",))
