"""From an experiment and a seed to a plan. Pure: the same input gives the same plan, whatever the order of its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from math import floor
from random import Random
from typing import Any

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Cohort, Experiment, Link, Service, Swarm
from chaosctl.experiment.places import ALL, bots_link, parse_on
from chaosctl.plan.chance import draw, settle, source_for
from chaosctl.plan.drawn import drawn_faults
from chaosctl.plan.model import SCHEMA_VERSION, Phase, Plan, PlannedBot, PlannedFault, PlannedProxy, Step

# At one moment: what ends, what changes the load, what begins; and the end of everything after all of them.
_RANK = {"heal": 0, "users": 1, "inject": 2, "heal_all": 3}


def build_plan(loaded: Loaded, seed: int, faults: FaultKinds) -> Plan:
    """Return everything that a run of the experiment with this seed will do."""
    experiment = loaded.experiment
    phases = _phases(experiment)
    listed = _faults(loaded, seed, faults, phases[-1].start_ns)
    planned = (*listed, *drawn_faults(loaded, listed, seed, faults, phases[-1].start_ns))
    through = bots_link(experiment.target.links, experiment.swarm.through)
    cohorts = experiment.swarm.cohorts or {ALL: Cohort(share=1.0)}
    return Plan(
        schema_version=SCHEMA_VERSION,
        experiment=experiment.name,
        hypothesis=experiment.hypothesis,
        fingerprint=loaded.fingerprint,
        seed=seed,
        phases=phases,
        faults=planned,
        steps=_steps(experiment.swarm, planned, phases[-1].end_ns),
        proxies=tuple(_proxies(experiment, through, cohorts)),
        bots=_bots(experiment.swarm, cohorts, seed),
        start_order=start_order(experiment.target.services),
        bots_link=through,
        probe_link=experiment.probe.through or through,
        probe_every_ns=experiment.probe.every_ns,
        probe_timeout_ns=experiment.probe.timeout_ns,
        objectives={name: params.model_dump(mode="json") for name, params in sorted(loaded.objectives.items())},
    )


def start_order(services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the services so that each comes after what it needs; those that could start together by name."""
    sorter = TopologicalSorter({name: service.needs for name, service in services.items()})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return tuple(order)


def divide(users: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return whole numbers of users by cohort that sum to `users`, by the largest remainder (Hamilton)."""
    whole = sum(shares.values())
    exact = {name: users * share / whole for name, share in sorted(shares.items())}
    counts = {name: floor(quota) for name, quota in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: users - sum(counts.values())]:
        counts[name] += 1
    return counts


def _phases(experiment: Experiment) -> tuple[Phase, ...]:
    ramp_end = experiment.swarm.ramp_ns
    baseline_end = ramp_end + experiment.baseline_ns
    end = baseline_end + experiment.duration_ns
    return (
        Phase("ramp", 0, ramp_end),
        Phase("baseline", ramp_end, baseline_end),
        Phase("timeline", baseline_end, end),
    )


def _faults(loaded: Loaded, seed: int, faults: FaultKinds, start_ns: int) -> tuple[PlannedFault, ...]:
    items = zip(loaded.experiment.timeline, loaded.fault_params, strict=True)
    services, planned = loaded.experiment.target.services, []
    for number, (item, params) in enumerate(items, 1):
        place = _place(item.on, services, source_for(seed, f"f{number}-on"))
        grouped = settle(
            params, faults[item.fault], parse_on(place["on"]), services, source_for(seed, f"f{number}-groups")
        )
        planned.append(
            PlannedFault(
                id=f"f{number}-{item.fault}",
                kind=item.fault,
                acts_on=faults[item.fault].acts_on,
                params=grouped.model_dump(mode="json"),
                inject_ns=start_ns + item.at_ns,
                heal_ns=None if item.for_ns is None else start_ns + item.at_ns + item.for_ns,
                origin=f"timeline[{number - 1}]",
                **place,
            )
        )
    return tuple(planned)


def _place(written: str, services: Mapping[str, Service], source: Random) -> dict[str, Any]:
    """Return `on`, drawn if the experiment leaves it to chance, and then what it `asked` for."""
    on = parse_on(written)
    if not on.by_chance:
        return {"on": written}
    replicas = services[on.name].replicas
    return {"on": draw(on, range(replicas), replicas, source), "asked": written}


def _steps(swarm: Swarm, planned: tuple[PlannedFault, ...], end_ns: int) -> tuple[Step, ...]:
    steps = [Step(0, "users", users=swarm.users, over_ns=swarm.ramp_ns)]
    steps += [Step(stage.at_ns, "users", users=stage.users, over_ns=stage.over_ns) for stage in swarm.stages]
    for fault in planned:
        steps.append(Step(fault.inject_ns, "inject", fault.id))
        if fault.heal_ns is not None:
            steps.append(Step(fault.heal_ns, "heal", fault.id))
    steps.append(Step(end_ns, "heal_all"))
    # Sorting is stable, so that faults of one moment stay in the order of the timeline.
    return tuple(sorted(steps, key=lambda step: (step.at_ns, _RANK[step.do])))


def _proxies(experiment: Experiment, through: str, cohorts: Mapping[str, Cohort]) -> Iterator[PlannedProxy]:
    """Yield one relay listener for each link and replica it leads to; on the bots' link, for each cohort too."""
    target = experiment.target
    for name, link in sorted(target.links.items()):
        if target.driver == "compose" and target.compose.attach and link.from_service is not None:
            continue  # nothing of the project is made anew, so its services are told of no relay
        port = link.port or target.services[link.to].ports[0]
        replicas = range(target.services[link.to].replicas)
        if name != through:
            for replica in replicas:
                yield PlannedProxy(
                    f"{name}.{replica}", name, None, link.to, replica, port, listen=_listen(link, replica)
                )
            continue
        for cohort_name, cohort in sorted(cohorts.items()):
            for replica in replicas:
                yield _cohort_proxy(name, link, port, replica, cohort_name, cohort)


def _cohort_proxy(name: str, link: Link, port: str, replica: int, cohort_name: str, cohort: Cohort) -> PlannedProxy:
    return PlannedProxy(
        name=f"{name}.{cohort_name}.{replica}",
        link=name,
        cohort=cohort_name,
        to_service=link.to,
        to_replica=replica,
        to_port=port,
        latency_ns=cohort.latency_ns,
        jitter_ns=cohort.jitter_ns,
        bandwidth_bytes_per_s=cohort.bandwidth_bytes_per_s,
        listen=_listen(link, replica),
    )


def _listen(link: Link, replica: int) -> str | None:
    return link.listen[replica] if link.listen else None


def _bots(swarm: Swarm, cohorts: Mapping[str, Cohort], seed: int) -> tuple[PlannedBot, ...]:
    users = max((swarm.users, *(stage.users for stage in swarm.stages)))
    counts = divide(users, {name: cohort.share for name, cohort in cohorts.items()})
    return tuple(
        PlannedBot(f"{name}-{index}", name, f"{seed}:{name}-{index}")
        for name, count in counts.items()
        for index in range(count)
    )
