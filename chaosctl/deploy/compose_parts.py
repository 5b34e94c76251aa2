"""What a run puts beside a compose file, before anything is made: relays, ports, folders, and how compose is called.

Pure but for the `make` that makes a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from chaosctl.deploy.compose_override import members_of, relay_places
from chaosctl.experiment.model import Target
from chaosctl.safety.ports import LOOPBACK

OVERRIDE = "compose-override.yaml"

Published = Mapping[tuple[str, str], tuple[int, ...]]
"""The numbers on loopback by service of the file and port: a row of them, one a replica."""


def project_name(run_id: str) -> str:
    """Return the name of a run's own project."""
    return f"chaosctl-{run_id}"


def up_words(target: Target, *, start: bool) -> tuple[str, ...]:
    """Return how compose is told to make everything, or (`start`) to start what it has made."""
    how = ("--detach", "--no-recreate", "--no-build") if start else ("--no-start",)
    wanted = members_of(target).items()
    scale = (word for name, one in wanted for word in ("--scale", f"{name}={len(one.indexes)}"))
    return ("up", *how, *scale)


def relays_of(target: Target, run_id: str, make: Callable[[str], str]) -> Mapping[tuple[str, int], str]:
    """Return where relays listen, by link and replica; `make` makes a network of that name and returns this machine's
    address on it."""
    places = relay_places(target)
    numbers = sorted({address for address, _ in places.values()})
    addresses = {number: make(f"{project_name(run_id)}-links-{number}") for number in numbers}
    return {key: f"{addresses[address]}:{port}" for key, (address, port) in places.items()}


def rows_of(target: Target) -> tuple[tuple[str, str, int], ...]:
    """Return which rows of ports are needed: service of the file, port, how many."""
    members = members_of(target).items()
    return tuple((name, port, len(one.indexes)) for name, one in members for port in target.services[one.service].ports)


def published_of(target: Target, numbers: Iterable[int]) -> Published:
    """Return these numbers by row."""
    left = iter(numbers)
    return {(name, port): tuple(next(left) for _ in range(count)) for name, port, count in rows_of(target)}


def addresses_of(target: Target, published: Published, service: str, index: int) -> Mapping[str, str]:
    """Return where the ports of a replica are published, by name."""
    name, member = next(
        (name, one) for name, one in members_of(target).items() if one.service == service and index in one.indexes
    )
    at = member.indexes.index(index)
    return {port: f"{LOOPBACK}:{published[name, port][at]}" for port in target.services[service].ports}


def states_in(target: Target, bundle: Path) -> Mapping[str, Path]:
    """Return the folders that are mounted, by service of the file."""
    return {
        name: bundle / "state" / f"{one.service}-{one.indexes[0]}"
        for name, one in members_of(target).items()
        if target.services[one.service].state
    }
