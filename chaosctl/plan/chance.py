"""What chance decides in a plan: which replicas `any 2 of gateway` and `30% of gateway` mean, who stands where in a
split. Pure, from the seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import On, replicas_text


def draw(on: On, among: Sequence[int], replicas: int, source: random.Random) -> str | None:
    """Return the drawn place, such as `gateway[0,2]`; None if there are not enough to draw from.

    `among` are the replicas that may be drawn, of `replicas` that the service has (shares are of those).
    """
    wanted = on.at_most(replicas)
    if wanted > len(among):
        return None
    # Only `random()` gives the same numbers in every version of Python (docs.python.org, "random", reproducibility).
    shuffled = sorted(among, key=lambda _: source.random())
    return replicas_text(on.name, shuffled[:wanted])


def settle(params: Params, kind: FaultKind, on: On, services: Mapping[str, Service], source: random.Random) -> Params:
    """Return the parameters of a fault on `on`; of one that parts replicas, with its groups."""
    if kind.groups is None:
        return params
    replicas = on.replicas if on.replicas is not None else range(services[on.name].replicas)
    settled: Params = kind.groups.settled(params, on.name, replicas, source)
    return settled


def source_for(seed: int, what: str) -> random.Random:
    """Return the random source of one thing that is drawn, which no other thing can disturb."""
    return random.Random(f"{seed}:{what}")
