"""Who plays what, and in which process: every bot of the plan as a seat, dealt before anything starts. Pure.

The first n seats hold the cohorts in their proportions for every n, so a ramp or a stage keeps them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seat:
    """One bot's place. `index` counts within its cohort, `user_class` into the list of classes, `worker` from 0."""

    name: str
    cohort: str
    seed: str
    index: int
    user_class: int
    worker: int


def deal(bots: Iterable[tuple[str, str, str]], weights: Sequence[float], workers: int) -> tuple[Seat, ...]:
    """Return the seats in the order in which they are taken; `bots` are (name, cohort, seed), `weights` one a class."""
    cohorts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, cohort, seed in bots:
        cohorts[cohort].append((name, seed))
    placed = sorted(
        ((index + 0.5) / len(members), cohort, index, name, seed)
        for cohort, members in cohorts.items()
        for index, (name, seed) in enumerate(members)
    )
    classes = {cohort: spread(weights, len(members)) for cohort, members in cohorts.items()}
    return tuple(
        Seat(name, cohort, seed, index, classes[cohort][index], order % workers)
        for order, (_, cohort, index, name, seed) in enumerate(placed)
    )


def spread(weights: Sequence[float], count: int) -> tuple[int, ...]:
    """Return `count` class numbers, each as often as its weight says, evenly mixed (Webster's divisor method)."""
    given: Counter[int] = Counter()
    chosen = []
    for _ in range(count):
        best = min(range(len(weights)), key=lambda number: ((given[number] + 0.5) / weights[number], number))
        given[best] += 1
        chosen.append(best)
    return tuple(chosen)
