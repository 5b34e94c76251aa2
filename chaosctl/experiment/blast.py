"""The blast radius: how much of a service faults take down at once, by the times of the plan. Pure.

What counts is what a fault keeps from serving: from its moment to its heal; without a heal to when the restart policy
has brought it back, and where there is none, to the end. Faults on links take nothing down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import floor
from typing import Any

from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import On

# From its start until a replica serves again; how long that really takes is not known beforehand.
START_NS = 1_000_000_000
_EPSILON = 1e-9


@dataclass(frozen=True)
class Down:
    """Replicas of `on` that are down in [`start_ns`, `end_ns`), at most `count` of `replicas`; `by` is what does it."""

    by: int
    on: On
    replicas: int
    start_ns: int
    end_ns: int
    count: int


def downs_of(
    by: int, on: On, kind: FaultKind, service: Service, times: tuple[int, int | None, int], params: Any = None
) -> tuple[Down, ...]:
    """Return when a fault takes replicas down. `times`: its moment, its heal (None: it has none), the end of the load.

    Those that a split cuts off from the most of them count; where they give way one after another, it is one at a time.
    """
    at_ns, heal_ns, end_ns = times
    count = 1 if getattr(params, "rolling", False) else on.at_most(service.replicas)
    if kind.groups is not None and params is not None:
        count = kind.groups.cut_off(params, on.name, count)
    if kind.takes_down is None:
        return ()
    if kind.takes_down == "moment":
        moments = [at_ns] if heal_ns is None else [at_ns, heal_ns]
        spans = [(moment_ns, moment_ns + START_NS) for moment_ns in moments]
    elif heal_ns is not None:
        spans = [(at_ns, heal_ns)]
    else:
        spans = [(at_ns, end_ns if service.restart is None else at_ns + service.restart.after_ns + START_NS)]
    return tuple(Down(by, on, service.replicas, start_ns, end_ns, count) for start_ns, end_ns in spans)


@dataclass(frozen=True)
class Excess:
    """At `at_ns` the faults `by` take down `count` of the `replicas` of a service, the last of them one too many."""

    service: str
    at_ns: int
    by: tuple[int, ...]
    count: int
    replicas: int


def excesses(downs: Iterable[Down], at_most: float) -> Iterator[Excess]:
    """Yield the first moment at which each fault, with those before it, takes down more than the share `at_most`."""
    by_service: dict[str, list[Down]] = defaultdict(list)
    for down in downs:
        by_service[down.on.name].append(down)
    blamed: set[int] = set()
    for service, those in by_service.items():
        for one in sorted(those, key=lambda down: (down.start_ns, down.by)):
            together = [other for other in those if _is_down(other, one)]
            count = count_down(together)
            if count > at_most * one.replicas + _EPSILON and one.by not in blamed:
                blamed.add(one.by)
                by = tuple(dict.fromkeys(other.by for other in together if other.by != one.by))
                yield Excess(service, one.start_ns, (*by, one.by), count, one.replicas)


def _is_down(other: Down, one: Down) -> bool:
    """Say whether `other` is down when `one` goes down, or goes down at that very time before it in the file."""
    if other.start_ns == one.start_ns:
        return other.by <= one.by
    return other.start_ns < one.start_ns < other.end_ns


def count_down(downs: Iterable[Down]) -> int:
    """Return how many replicas of one service are down at most, if all of these are at once."""
    named: set[int] = set()
    unnamed, replicas = 0, 0
    for down in downs:
        replicas = down.replicas
        if down.on.replicas is not None and down.count == len(down.on.replicas):
            named |= {*down.on.replicas}
        else:
            unnamed += down.count
    return min(replicas, len(named) + unnamed)


def too_many(excess: Excess, at_most: float, *, parts: bool) -> str:
    """Return what is wrong with an excess, and the mend. `parts`: the last fault does not choose replicas but parts
    them, and what it cuts off counts."""
    service, replicas = excess.service, excess.replicas
    limit = f"blast_radius allows {at_most * 100:.4g}%"
    text = f"takes down {excess.count} of {replicas} replicas of '{service}' at once; {limit}"
    allowed = floor(at_most * replicas + _EPSILON)
    if allowed == 0:
        return f"{text}, which is none of them; give it more replicas, or raise blast_radius.at_most"
    if parts and len(excess.by) == 1:
        return f"{text}; part fewer of them from the rest, or raise blast_radius.at_most"
    if len(excess.by) > 1:
        return f"{text}; move one of them, or raise blast_radius.at_most"
    return f"{text}; write 'any {allowed} of {service}', or raise blast_radius.at_most"
