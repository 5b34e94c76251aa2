"""Laws of random schedules: bounds are always kept, and the same seed gives the same schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.experiment.blast import count_down, downs_of
from chaosctl.experiment.kinds import FaultKind, FaultKinds, Params
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import BlastRadius, Chaos, ChaosFault, Restart, Service, TimelineItem
from chaosctl.experiment.places import parse_on
from chaosctl.plan.build import build_plan
from chaosctl.plan.codec import plan_from_json, plan_to_json
from chaosctl.plan.model import PlannedFault

S = 1_000_000_000
START_NS = 7 * S  # ramp and baseline
FAULTS: FaultKinds = {
    "kill": FaultKind("kill", "service", Params, "optional", "life", "", "", takes_down="while"),
    "pause": FaultKind("pause", "service", Params, "always", "life", "", "", takes_down="while"),
    "restart": FaultKind("restart", "service", Params, "never", "life", "", "", takes_down="moment"),
    "latency": FaultKind("latency", "link", Params, "always", "delay", "", ""),
}
GATEWAYS = Service(run=("g",), ports=("main",), replicas=4, restart=Restart(after_ns=S // 2))
ON_SERVICE = st.sampled_from(["gateway", "gateway[0]", "gateway[1,3]", "any 1 of gateway", "50% of gateway"])
SHORT = st.none() | st.integers(S // 10, 4 * S)


@st.composite
def items(draw: st.DrawFn, *, by_chance: bool) -> tuple[str, str, int | None]:
    kind = draw(st.sampled_from(sorted(FAULTS)))
    on = draw(st.sampled_from(["gateway-world", "bots-gateway"]) if kind == "latency" else ON_SERVICE)
    if not by_chance:
        on = on.replace("any 1 of gateway", "gateway[2]").replace("50% of gateway", "gateway[0,2]")
    for_ns = draw(SHORT)
    if kind == "restart":
        return kind, on, None
    return kind, on, S if for_ns is None and kind != "kill" else for_ns


@st.composite
def any_chaos(draw: st.DrawFn, loaded: Loaded) -> Loaded:
    drawn = draw(st.lists(items(by_chance=True), min_size=1, max_size=4))
    faults = tuple(
        ChaosFault(every_ns=draw(st.integers(S // 2, 9 * S)), for_ns=for_ns, fault=kind, on=on)
        for kind, on, for_ns in drawn
    )
    chaos = Chaos(
        from_ns=draw(st.integers(0, 10 * S)),
        until_ns=draw(st.none() | st.integers(20 * S, 40 * S)),
        seed=draw(st.none() | st.integers(0, 3)),
        spacing=draw(st.sampled_from(["exponential", "uniform"])),
        gap_ns=draw(st.integers(S // 10, 3 * S)),
        at_most=draw(st.integers(1, 3)),
        faults=faults,
    )
    listed = draw(st.lists(st.tuples(items(by_chance=False), st.integers(0, 35 * S)), max_size=2))
    timeline = tuple(TimelineItem(at_ns=at, for_ns=long, fault=kind, on=on) for (kind, on, long), at in listed)
    services = {**loaded.experiment.target.services, "gateway": GATEWAYS}
    experiment = loaded.experiment.model_copy(
        update={
            "chaos": chaos,
            "timeline": timeline,
            "target": loaded.experiment.target.model_copy(update={"services": services}),
            "blast_radius": draw(st.none() | st.builds(BlastRadius, at_most=st.sampled_from([0.25, 0.5, 1.0]))),
        }
    )
    return replace(
        loaded,
        experiment=experiment,
        fault_params=tuple(Params() for _ in timeline),
        chaos_params=tuple(Params() for _ in faults),
    )


def over_ns(fault: PlannedFault) -> int:
    """When a fault is over, as this test understands it."""
    if fault.heal_ns is not None:
        return fault.heal_ns + (S if fault.acts_on == "service" else 0)
    return fault.inject_ns + S + (GATEWAYS.restart.after_ns if fault.kind == "kill" and GATEWAYS.restart else 0)


def split(faults: tuple[PlannedFault, ...]) -> tuple[list[PlannedFault], list[PlannedFault]]:
    return [one for one in faults if one.id[0] == "f"], [one for one in faults if one.id[0] == "c"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 2**32))
def test_the_bounds_are_kept(loaded: Callable[..., Loaded], data: st.DataObject, seed: int) -> None:
    made = data.draw(any_chaos(loaded()))
    chaos, faults = made.experiment.chaos, build_plan(made, seed, FAULTS).faults
    assert chaos is not None
    listed, drawn = split(faults)
    until_ns = START_NS + (chaos.until_ns or 40 * S)
    starts = [one.inject_ns for one in drawn]
    assert starts == sorted(starts)
    for number, one in enumerate(drawn):
        assert START_NS + chaos.from_ns <= one.inject_ns and over_ns(one) <= until_ns
        others = [other for other in faults if other is not one]
        assert all(abs(one.inject_ns - other.inject_ns) >= chaos.gap_ns for other in others)
        assert one.id == f"c{number + 1}-{one.kind}"
        near = [other for other in others if other.inject_ns < over_ns(one) and one.inject_ns < over_ns(other)]
        same = [other for other in near if FAULTS[other.kind].dimension == FAULTS[one.kind].dimension]
        assert not any(parse_on(one.on).overlaps(parse_on(other.on)) for other in same)
        for at_ns in [one.inject_ns, *(other.inject_ns for other in near if other.inject_ns > one.inject_ns)]:
            assert sum(other.inject_ns <= at_ns < over_ns(other) for other in [one, *near]) <= chaos.at_most
            radius = made.experiment.blast_radius
            if radius is not None and one.acts_on == "service":
                assert down_at(at_ns, [one, *near]) <= max(radius.at_most * 4, down_at(at_ns, listed))


def down_at(at_ns: int, faults: list[PlannedFault]) -> int:
    downs = [
        down
        for fault in faults
        if fault.acts_on == "service"
        for down in downs_of(
            0, parse_on(fault.on), FAULTS[fault.kind], GATEWAYS, (fault.inject_ns, fault.heal_ns, START_NS + 40 * S)
        )
    ]
    return count_down(down for down in downs if down.start_ns <= at_ns < down.end_ns)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_schedule(loaded: Callable[..., Loaded], data: st.DataObject, seed: int) -> None:
    made = data.draw(any_chaos(loaded()))
    plan = build_plan(made, seed, FAULTS)
    assert plan == build_plan(made, seed, FAULTS)
    assert plan_from_json(plan_to_json(plan)) == plan
    chaos = made.experiment.chaos
    if chaos is not None and chaos.seed is not None:
        own = made.experiment.model_copy(update={"timeline": ()})
        alone = replace(made, experiment=own, fault_params=())
        assert build_plan(alone, seed, FAULTS).faults == build_plan(alone, seed + 1, FAULTS).faults


@pytest.fixture
def kills(loaded: Callable[..., Loaded]) -> Callable[..., Loaded]:
    """Return an experiment that kills a gateway now and then."""

    def with_chaos(**fields: object) -> Loaded:
        item = ChaosFault(every_ns=4 * S, for_ns=S, fault="kill", on="any 1 of gateway")
        chaos = Chaos.model_validate({"gap_ns": S, "faults": (item,), **fields})
        made = loaded(items=())
        experiment = made.experiment.model_copy(update={"chaos": chaos})
        return replace(made, experiment=experiment, chaos_params=(Params(),))

    return with_chaos


def test_other_seeds_give_other_schedules_of_about_the_rate_that_was_asked_for(kills: Callable[..., Loaded]) -> None:
    plans = [build_plan(kills(), seed, FAULTS).faults for seed in range(200)]
    assert len({tuple(fault.inject_ns for fault in faults) for faults in plans}) == 200
    # 40 s, one each 4 s on average, a gap of at least 1 s: between 6 and 10 of them.
    assert 6 < sum(map(len, plans)) / 200 < 10
    assert {fault.on for faults in plans for fault in faults} == {"gateway[0]", "gateway[1]"}
    assert {fault.asked for faults in plans for fault in faults} == {"any 1 of gateway"}


def test_uniform_distances_are_half_to_one_and_a_half(kills: Callable[..., Loaded]) -> None:
    for seed in range(50):
        at_ns = [fault.inject_ns for fault in build_plan(kills(spacing="uniform"), seed, FAULTS).faults]
        distances = [later - earlier for earlier, later in pairwise(at_ns)]
        assert all(2 * S <= distance_ns <= 6 * S + 1_000_000 for distance_ns in distances)


def test_each_fault_says_where_the_experiment_has_it(kills: Callable[..., Loaded]) -> None:
    assert {fault.origin for fault in build_plan(kills(), 7, FAULTS).faults} == {"chaos.faults[0]"}
