"""Faults at random times: the whole schedule of an experiment's `chaos`, drawn from a seed. Pure.

Each fault of the list has a random source of its own, and comes again and again at random distances. One that would
break a bound comes as soon as it breaks none: the least gap, how many are in force at once, one of a dimension at one
place, the blast radius, all over at `until`. The faults of the timeline count, and stay where they are.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from chaosctl.experiment.blast import START_NS, Down, downs_of, excesses
from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.model import Chaos, ChaosFault, Service
from chaosctl.experiment.places import On, parse_on
from chaosctl.plan.chance import draw, source_for

_ROUND_NS = 1_000_000


@dataclass(frozen=True)
class Occurrence:
    """One fault at its time, from the end of the baseline on. `item` is its place in the list that it comes from.

    A service has so many `replicas`, a link none. It is in force in [`at_ns`, `over_ns`): to its heal, or to when what
    it took down should serve again.
    """

    item: int
    kind: FaultKind
    on: On
    at_ns: int
    heal_ns: int | None
    over_ns: int
    replicas: int
    downs: tuple[Down, ...] = ()

    def meets(self, other: Occurrence) -> bool:
        """Return whether both are in force at one time."""
        return self.at_ns < other.over_ns and other.at_ns < self.over_ns

    def contradicts(self, other: Occurrence) -> bool:
        """Return whether both act in one dimension on one place at one time."""
        same = self.kind.dimension == other.kind.dimension and self.kind.acts_on == other.kind.acts_on
        return same and self.meets(other) and self.on.overlaps(other.on)


@dataclass(frozen=True)
class Bounds:
    """What a schedule keeps within. `until_ns` is when all is over; a share of a service is its `blast_radius`."""

    from_ns: int
    until_ns: int
    gap_ns: int
    at_most: int
    blast_radius: float | None


def occurrence(
    item: int, on: On, kind: FaultKind, service: Service | None, times: tuple[int, int | None, int], params: Any
) -> Occurrence:
    """Return a fault with how long it is in force. `times`: its moment, how long it lasts, the end of the load.

    What was held down needs its time to start after the heal, and counts as down until then.
    """
    at_ns, for_ns, end_ns = times
    heal_ns = None if for_ns is None else at_ns + for_ns
    downs: tuple[Down, ...] = ()
    if service is not None:
        downs = downs_of(item, on, kind, service, (at_ns, heal_ns, end_ns), params)
        if heal_ns is not None and kind.takes_down == "while":
            downs = tuple(replace(down, end_ns=down.end_ns + START_NS) for down in downs)
    over_ns = max([at_ns + START_NS if heal_ns is None else heal_ns, *(down.end_ns for down in downs)])
    return Occurrence(item, kind, on, at_ns, heal_ns, over_ns, 0 if service is None else service.replicas, downs)


def schedule(
    chaos: Chaos, make: Callable[[int, int], Occurrence], fixed: Sequence[Occurrence], bounds: Bounds, seed: int
) -> tuple[Occurrence, ...]:
    """Return the faults of `chaos` in the order of their times.

    `make(index, at_ns)` gives a fault of its list at a time; `fixed` are the faults of the timeline. `seed` is that of
    the plan.
    """
    seed = seed if chaos.seed is None else chaos.seed
    sources = [source_for(seed, f"chaos-{index}") for index in range(len(chaos.faults))]
    waiting = [
        (bounds.from_ns + _distance_ns(item, chaos, source), index)
        for index, (item, source) in enumerate(zip(chaos.faults, sources, strict=True))
    ]
    heapq.heapify(waiting)
    taken: list[Occurrence] = []
    others = list(fixed)
    while waiting:
        at_ns, index = heapq.heappop(waiting)
        # Times only grow: what is over is in nobody's way any more.
        others = [other for other in others if max(other.over_ns, other.at_ns + bounds.gap_ns) > at_ns]
        one = make(index, at_ns)
        if one.over_ns > bounds.until_ns:
            continue  # and so would be all later ones of its kind
        placed = _placed(one, others, bounds, sources[index])
        if placed is not None:
            taken.append(placed)
            others.append(placed)
            heapq.heappush(waiting, (at_ns + _distance_ns(chaos.faults[index], chaos, sources[index]), index))
        elif (later_ns := _next_chance_ns(at_ns, others, bounds.gap_ns)) is not None:
            heapq.heappush(waiting, (later_ns, index))
    return tuple(taken)


def _distance_ns(item: ChaosFault, chaos: Chaos, source: Random) -> int:
    drawn = source.random()
    times = 0.5 + drawn if chaos.spacing == "uniform" else -math.log(1 - drawn)
    return math.ceil(item.every_ns * times / _ROUND_NS) * _ROUND_NS


def _placed(one: Occurrence, others: Sequence[Occurrence], bounds: Bounds, source: Random) -> Occurrence | None:
    """Return the fault with its replicas drawn, or None if a bound would be broken."""
    if any(abs(one.at_ns - other.at_ns) < bounds.gap_ns for other in others):
        return None
    near = [other for other in others if one.meets(other)]
    moments = [one.at_ns, *(other.at_ns for other in near if other.at_ns > one.at_ns)]
    if any(_in_force(near, at_ns) >= bounds.at_most for at_ns in moments):
        return None
    if one.on.by_chance:
        drawn = draw(one.on, _free(one, near), one.replicas, source)
        if drawn is None:
            return None
        on = parse_on(drawn)
        one = replace(one, on=on, downs=tuple(replace(down, on=on) for down in one.downs))
    if any(one.contradicts(other) for other in near):
        return None
    return one if bounds.blast_radius is None or _is_bearable(one, near, bounds.blast_radius) else None


def _in_force(near: Sequence[Occurrence], at_ns: int) -> int:
    return sum(other.at_ns <= at_ns < other.over_ns for other in near)


def _free(one: Occurrence, near: Sequence[Occurrence]) -> list[int]:
    """Return the replicas on which nothing contradicts the fault."""
    alone = (replace(one, on=On(one.on.name, replicas=(index,))) for index in range(one.replicas))
    return [index for index, at in enumerate(alone) if not any(at.contradicts(other) for other in near)]


def _is_bearable(one: Occurrence, near: Sequence[Occurrence], blast_radius: float) -> bool:
    numbered = [replace(down, by=number) for number, other in enumerate([*near, one]) for down in other.downs]
    return not any(True for _ in excesses(numbered, blast_radius))


def _next_chance_ns(at_ns: int, others: Sequence[Occurrence], gap_ns: int) -> int | None:
    """Return the next time at which a bound that is in the way may be kept."""
    changes = (time_ns for other in others for time_ns in (other.at_ns + gap_ns, other.over_ns) if time_ns > at_ns)
    return min(changes, default=None)
