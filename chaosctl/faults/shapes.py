"""The shapes of a split, as groups: made when the plan is made, from the seed where chance decides. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Literal

from chaosctl.experiment.groups import REST, Groups, most_cut_off, places_in
from chaosctl.experiment.places import On, parse_on, replicas_text

Shape = Literal["majority/minority", "ring", "bridge"]
# With fewer replicas these part nobody, or are another shape.
LEAST = {"majority/minority": 3, "ring": 4, "bridge": 3}


def groups_of(shape: Shape, service: str, replicas: Sequence[int], source: Random) -> tuple[tuple[str, ...], ...]:
    """Return a shape over these replicas as groups; `source` draws who stands where.

    The minority is as large as it can be without a tie, and comes first.
    """
    order = sorted(replicas, key=lambda _: source.random())
    if shape == "ring":
        around = (*order, order[0])
        return tuple((replicas_text(service, pair),) for pair in pairwise(around))
    if shape == "bridge":
        middle, others = order[0], order[1:]
        half = len(others) // 2
        return tuple((replicas_text(service, (*side, middle)),) for side in (others[:half], others[half:]))
    few = (len(order) - 1) // 2
    return (replicas_text(service, order[:few]),), (replicas_text(service, order[few:]),)


def isolating(who: str, service: str, replicas: Sequence[int], source: Random) -> tuple[tuple[str, ...], ...]:
    """Return whom it names and the rest, drawn where it leaves that to chance; a role stays one."""
    place = parse_on(in_full(who, service))
    if not place.by_chance:
        return (in_full(who, service),), (REST,)
    order = sorted(replicas, key=lambda _: source.random())
    return (replicas_text(service, order[: place.at_most(len(order))]),), (REST,)


def in_full(who: str, service: str) -> str:
    """Return whom `isolate:` names as `on:` has it: a bare word is a role, unless it is the service itself."""
    is_word = " " not in who.strip() and "[" not in who
    return f"{who.strip()} of {service}" if is_word and who.strip() != service else who


def cut_off(groups: Groups, isolate: str | None, shape: Shape | None, service: str, replicas: int) -> int:
    """Return how many replicas are cut off at most from the most of them."""
    if shape is not None:
        return {"majority/minority": (replicas - 1) // 2, "ring": replicas - 2, "bridge": (replicas - 1) // 2}[shape]
    if isolate is not None:
        few = parse_on(in_full(isolate, service)).at_most(replicas)
        return max(1, min(few, replicas - few))
    named = sum(on.at_most(replicas) for on in places_in(groups) if on.name == service)
    sides = [
        [On(service, count=max(0, replicas - named))] if group == (REST,) else list(places_in([group]))
        for group in groups
    ]
    return most_cut_off(sides, service, replicas)
