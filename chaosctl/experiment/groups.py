"""Groups of replicas that a fault parts from each other: what they mean, as text and as who loses what. Pure.

Two replicas that groups name still meet if some group has both; so who stands in two groups meets all of both. Who
stands in none is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaosctl.experiment.places import On, parse_on

# A group of the replicas of `on:` that no other group names.
REST = "the rest"

Groups = Sequence[Sequence[str]]
"""Each a list of places, as `on:` has them."""


def places_in(groups: Groups) -> tuple[On, ...]:
    """Return the places that groups name, without the rest. Raises ValueError for what names none."""
    return tuple(parse_on(text) for group in groups for text in group if text != REST)


def ask_roles(groups: Groups) -> bool:
    """Return whether who stands where is known only when the fault is due."""
    return any(place.role is not None for place in places_in(groups))


def lost_between(groups: Groups, *, one_way: bool) -> frozenset[tuple[str, str]]:
    """Return the pairs of replicas (from, to) between which packets are lost; each group lists replicas by name.

    `one_way`: only what the first group sends to the second.
    """
    if one_way:
        return frozenset((sender, taker) for sender in groups[0] for taker in groups[1] if sender != taker)
    everybody = {name for group in groups for name in group}
    meet = {(one, other) for group in groups for one in group for other in group}
    return frozenset((one, other) for one in everybody for other in everybody if one != other) - meet


def most_cut_off(groups: Iterable[Iterable[On]], service: str, replicas: int) -> int:
    """Return how many replicas of a service are outside of its largest group at most, of those that groups name."""
    sizes = [sum(on.at_most(replicas) for on in group if on.name == service) for group in groups]
    return min(replicas - 1, sum(sizes) - max(sizes, default=0))
