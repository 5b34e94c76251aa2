from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Service, Stage
from chaosctl.plan.build import build_plan, divide, start_order
from chaosctl.plan.codec import plan_to_json

S = 1_000_000_000
Experiments = st.SearchStrategy[Loaded]
law = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@law
@given(data=st.data(), seed=st.integers(0, 2**63))
def test_the_same_seed_gives_the_same_bytes(
    data: st.DataObject, seed: int, experiments: Experiments, faults: FaultKinds
) -> None:
    loaded = data.draw(experiments)
    first, again = (plan_to_json(build_plan(loaded, seed, faults)) for _ in range(2))
    assert first == again
    assert plan_to_json(build_plan(loaded, seed + 1, faults)) != first


@law
@given(data=st.data())
def test_steps_are_in_order_and_end_with_the_heal_of_everything(
    data: st.DataObject, experiments: Experiments, faults: FaultKinds
) -> None:
    plan = build_plan(data.draw(experiments), 1, faults)
    assert [step.do for step in plan.steps].count("heal_all") == 1
    assert (plan.steps[-1].do, plan.steps[-1].at_ns, plan.steps[-1].fault) == ("heal_all", plan.end_ns, None)
    assert (plan.steps[0].do, plan.steps[0].at_ns) == ("users", 0)
    assert [step.at_ns for step in plan.steps] == sorted(step.at_ns for step in plan.steps)
    place = {(step.do, step.fault): index for index, step in enumerate(plan.steps)}
    for fault in plan.faults:
        assert plan.steps[place["inject", fault.id]].at_ns == fault.inject_ns
        assert (fault.heal_ns is None) == (("heal", fault.id) not in place)
        if fault.heal_ns is not None:
            assert place["heal", fault.id] > place["inject", fault.id]
            assert plan.steps[place["heal", fault.id]].at_ns == fault.heal_ns
    assert len({fault.id for fault in plan.faults}) == len(plan.faults)


@law
@given(data=st.data(), seed=st.integers(0, 1000))
def test_bots_sum_to_the_most_users_there_are(
    data: st.DataObject, seed: int, experiments: Experiments, faults: FaultKinds
) -> None:
    loaded = data.draw(experiments)
    swarm, plan = loaded.experiment.swarm, build_plan(loaded, seed, faults)
    assert len(plan.bots) == max([swarm.users, *(stage.users for stage in swarm.stages)])
    assert len({bot.name for bot in plan.bots}) == len(plan.bots)
    assert all(bot.seed == f"{seed}:{bot.name}" and bot.name.startswith(bot.cohort) for bot in plan.bots)
    assert {bot.cohort for bot in plan.bots} <= (set(swarm.cohorts) or {"all"})


@given(st.integers(0, 10_000), st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any))
def test_division_sums_up_and_nobody_is_off_by_one_or_more(users: int, parts: list[int]) -> None:
    shares = {f"c{index}": part / sum(parts) for index, part in enumerate(parts)}
    counts = divide(users, shares)
    assert sum(counts.values()) == users
    assert all(abs(counts[name] - users * share) < 1 + 1e-6 for name, share in shares.items())


def test_times_count_from_the_right_places(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    plan = build_plan(loaded(), 7, faults)
    assert [(phase.name, phase.start_ns, phase.end_ns) for phase in plan.phases] == [
        ("ramp", 0, 2 * S),
        ("baseline", 2 * S, 7 * S),
        ("timeline", 7 * S, 47 * S),
    ]
    assert [(fault.id, fault.on, fault.inject_ns, fault.heal_ns) for fault in plan.faults] == [
        ("f1-latency", "gateway-world", 7 * S, 13 * S),
        ("f2-kill", "world", 19 * S, None),
    ]
    assert plan.faults[0].params == {"latency_ns": 80_000_000, "jitter_ns": 0}
    assert plan.objectives == {"recovery": {"serviceable_ns": 3 * S, "names": ["a"]}}


def test_parameters_of_a_plan_make_the_fault_again(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    original = loaded()
    plan = build_plan(original, 7, faults)
    assert tuple(faults[fault.kind].params(**fault.params) for fault in plan.faults) == original.fault_params


def test_at_one_moment_heals_come_first_then_users_then_injects(
    loaded: Callable[..., Loaded], faults: FaultKinds
) -> None:
    items = (("latency", 5 * S, S), ("latency", 4 * S, S), ("kill", 5 * S, None))
    plan = build_plan(loaded(items=items, stages=(Stage(at_ns=12 * S, users=3, over_ns=S),)), 1, faults)
    now = [(step.do, step.fault or step.users) for step in plan.steps if step.at_ns == 12 * S]
    assert now == [("heal", "f2-latency"), ("users", 3), ("inject", "f1-latency"), ("inject", "f3-kill")]


def test_the_bots_link_has_a_proxy_for_each_cohort_and_replica(
    loaded: Callable[..., Loaded], faults: FaultKinds
) -> None:
    plan = build_plan(loaded(shares={"near": 0.8, "far": 0.2}), 1, faults)
    assert [proxy.name for proxy in plan.proxies] == [
        "bots-gateway.far.0",
        "bots-gateway.far.1",
        "bots-gateway.near.0",
        "bots-gateway.near.1",
        "gateway-world.0",
    ]
    far, world = plan.proxies[1], plan.proxies[4]
    assert (far.cohort, far.to_service, far.to_replica, far.to_port, far.latency_ns) == (
        "far",
        "gateway",
        1,
        "main",
        3000,
    )
    assert (world.cohort, world.to_service, world.to_port, world.latency_ns) == (None, "world", "status", 0)
    assert [bot.cohort for bot in plan.bots].count("far") == 2


def test_without_cohorts_there_is_one_named_all(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    plan = build_plan(loaded(users=2), 9, faults)
    assert [(bot.name, bot.cohort, bot.seed) for bot in plan.bots] == [
        ("all-0", "all", "9:all-0"),
        ("all-1", "all", "9:all-1"),
    ]
    assert plan.proxies[0].name == "bots-gateway.all.0"


@pytest.mark.parametrize(("through", "expected"), [(None, "bots-gateway"), ("gateway-world", "gateway-world")])
def test_the_probe_uses_the_bots_link_unless_told(
    loaded: Callable[..., Loaded], faults: FaultKinds, through: str | None, expected: str
) -> None:
    plan = build_plan(loaded(through=through), 1, faults)
    assert (plan.bots_link, plan.probe_link) == ("bots-gateway", expected)


def test_services_start_after_what_they_need(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    assert build_plan(loaded(), 1, faults).start_order == ("ledger", "auth", "world", "gateway")


@given(st.data())
def test_the_order_of_starting_does_not_hang_on_the_order_of_keys(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    needs = {
        f"s{n}": data.draw(st.lists(st.sampled_from([f"s{m}" for m in range(n)]), unique=True)) if n else []
        for n in range(count)
    }
    services = {name: Service(run=("x",), needs=tuple(wanted)) for name, wanted in needs.items()}
    order = start_order(services)
    assert sorted(order) == sorted(services)
    assert all(order.index(need) < order.index(name) for name, service in services.items() for need in service.needs)
    shuffled = data.draw(st.permutations(list(services)))
    assert start_order({name: services[name] for name in shuffled}) == order
