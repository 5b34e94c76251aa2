"""The faults of a plan that come by chance: an experiment's `chaos`, scheduled around its timeline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chaosctl.experiment.chaos_rules import end_of
from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.places import On, parse_on, replicas_text
from chaosctl.plan.chance import settle, source_for
from chaosctl.plan.model import PlannedFault
from chaosctl.plan.schedule import Bounds, Occurrence, occurrence, schedule


def drawn_faults(
    loaded: Loaded, listed: Sequence[PlannedFault], seed: int, faults: FaultKinds, start_ns: int
) -> tuple[PlannedFault, ...]:
    """Return the faults that chance adds to those that the timeline lists, in the order of their times.

    `start_ns` is the end of the baseline.
    """
    experiment = loaded.experiment
    if (chaos := experiment.chaos) is None:
        return ()

    def occur(number: int, kind: str, on: str, at_ns: int, for_ns: int | None, params: Any) -> Occurrence:
        place, times = parse_on(on), (at_ns, for_ns, experiment.duration_ns)
        service = experiment.target.services[place.name] if faults[kind].acts_on == "service" else None
        return occurrence(number, place, faults[kind], service, times, params)

    def make(index: int, at_ns: int) -> Occurrence:
        item = chaos.faults[index]
        return occur(index, item.fault, item.on, at_ns, item.for_ns, loaded.chaos_params[index])

    items = zip(experiment.timeline, listed, loaded.fault_params, strict=True)
    fixed = [occur(-1, item.fault, fault.on, item.at_ns, item.for_ns, params) for item, fault, params in items]
    radius = experiment.blast_radius
    bounds = Bounds(
        from_ns=chaos.from_ns,
        until_ns=end_of(chaos, experiment.duration_ns) or 0,
        gap_ns=chaos.gap_ns,
        at_most=chaos.at_most,
        blast_radius=None if radius is None else radius.at_most,
    )
    drawn = schedule(chaos, make, fixed, bounds, seed)
    return tuple(_planned(number, one, loaded, seed, start_ns) for number, one in enumerate(drawn, 1))


def _planned(number: int, one: Occurrence, loaded: Loaded, seed: int, start_ns: int) -> PlannedFault:
    assert loaded.experiment.chaos is not None
    item = loaded.experiment.chaos.faults[one.item]
    by_chance = parse_on(item.on).by_chance
    services, source = loaded.experiment.target.services, source_for(seed, f"c{number}-groups")
    params = settle(loaded.chaos_params[one.item], one.kind, one.on, services, source)
    return PlannedFault(
        id=f"c{number}-{item.fault}",
        kind=item.fault,
        acts_on=one.kind.acts_on,
        on=_drawn_text(one.on) if by_chance else item.on,
        params=params.model_dump(mode="json"),
        inject_ns=start_ns + one.at_ns,
        heal_ns=None if one.heal_ns is None else start_ns + one.heal_ns,
        asked=item.on if by_chance else None,
        origin=f"chaos.faults[{one.item}]",
    )


def _drawn_text(on: On) -> str:
    return replicas_text(on.name, on.replicas or ())
