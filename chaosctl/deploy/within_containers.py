"""How a target looks from within its containers, and what they are started with. Pure but for looking up images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from chaosctl.deploy.containers import STATE
from chaosctl.deploy.contract import Replica
from chaosctl.deploy.fleet import Sight
from chaosctl.deploy.images import look_up
from chaosctl.deploy.launcher import Command, Version
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service, Target
from chaosctl.safety.engine import Engine

# Within a container, whose ports are published on loopback only.
_EVERYWHERE = "0.0.0.0"


def network_name(run_id: str) -> str:
    """Return the name of a run's network."""
    return f"chaosctl-{run_id}"


def inner_port(target: Target, replica: Replica, port: str, number: Callable[[str], int] = int) -> int:
    """Return its number inside: the one that the image has chosen, or the one that it is published as, by `number`."""
    chosen = target.services[replica.service].container_ports.get(port)
    return chosen if chosen is not None else number(replica.ports[port].rpartition(":")[2])


def sight_within(number_of: Callable[[Replica, str], int]) -> Sight:
    """Return how addresses and folders look from within; `number_of` tells a port's number inside."""
    return Sight(
        own=lambda one, port: f"{_EVERYWHERE}:{number_of(one, port)}",
        other=lambda one, port: f"{one.service}-{one.index}:{number_of(one, port)}",
        state=lambda _: STATE,
    )


def command_within(
    definition: Service, values: Mapping[str, str], version: Version, own_image: str, engine: Engine
) -> Command:
    """Return what starts a version; `values` are what `${...}` stands for within. Raises ChaosctlError."""
    argv = expand(version.run or definition.run or (), values)
    own = {**definition.env, **version.env}
    whole = dict(zip(own, expand(tuple(own.values()), values), strict=True))
    made_from = own_image if version.image is None else look_up(engine, version.image).id
    added = {name: whole[name] for name in version.env}
    return Command(argv, whole, Path("/"), version.name, added, made_from, version.image or "")
