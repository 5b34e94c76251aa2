"""What the faults on packets share: a chain of a fault's own in a container's filter table, and counting what met it.

The rules are of IPv4, as is the run's network. What a container says to itself (loopback, with the engine's name
server) is left alone. A container that is started anew has a new network namespace, and with it no such rules.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.faults import containers
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.safety.container_undo import ChainUndo
from chaosctl.safety.undo import Undo

Way = Literal["in", "out", "both"]
PASSING = {"in": "INPUT ! -i lo", "out": "OUTPUT ! -o lo"}
OWN_PORT = {"in": "--dport", "out": "--sport"}
# Nobody listens at it in a container that does not mean to (RFC 863, discard): a knock at it is answered by the kernel.
NOBODYS_PORT = 9


def chain_of(fault_id: str, container: Container) -> str:
    """Return the chain of this fault in this container: the run's network names the run."""
    return "chaosctl-" + hashlib.sha256(f"{container.network} {fault_id}".encode()).hexdigest()[:16]


def undo_chains(fault_id: str, place: Place) -> tuple[Undo, ...]:
    """Return the removal of the chain of each container. Raises NotReadyError for what is no container."""
    return tuple(ChainUndo(one.engine, one.id, chain_of(fault_id, one)) for _, one in containers.containers_of(place))


def add_chains(
    fault_id: str,
    place: Place,
    rules: Sequence[str],
    jumps_of: Callable[[Container], Sequence[str]],
    now_ns: NowNs,
) -> Applied:
    """Add the chain to each container, met where `jumps_of` says. Raises NotReadyError."""
    found = containers.containers_of(place)
    called_ns = now_ns()
    for _, one in found:
        one.add_chain(chain_of(fault_id, one), rules, jumps_of(one))
    return Applied(called_ns, now_ns(), containers.targets(found))


def jumps(direction: Way, port: int | None = None) -> tuple[str, ...]:
    """Return where packets of this direction are met: all, or those of the container's own port (TCP and UDP)."""
    ways = ("in", "out") if direction == "both" else (direction,)
    if port is None:
        return tuple(PASSING[way] for way in ways)
    return tuple(f"{PASSING[way]} -p {protocol} {OWN_PORT[way]} {port}" for way in ways for protocol in ("tcp", "udp"))


def counted(fault_id: str, container: Container, target: str) -> tuple[int, int]:
    """Return how many packets came to the fault's chain, and how many met its rules with this target (`DROP`).

    Raises NotReadyError, also where the chain is not there.
    """
    chain = chain_of(fault_id, container)
    rules = container.rules()
    came = [packets for packets, rule in rules if rule.endswith(f" -j {chain}")]
    if not came:
        raise NotReadyError("the kernel has no such rules there")
    met = [packets for packets, rule in rules if rule.startswith(f"-A {chain} ") and f" -j {target}" in rule]
    return sum(came), sum(met)


def prove_gone(fault_id: str, place: Place) -> Proof:
    """Ask the kernel for the rules of each container: none is the fault's."""

    def look(container: Container) -> Proof:
        chain = chain_of(fault_id, container)
        if container.main_pid() is None:
            return Proof(False, "is down, so its network cannot be seen")
        left = [rule for _, rule in container.rules() if chain in rule.split()]
        return Proof(not left, f"{len(left)} rules of {chain} are in force" if left else f"no rule of {chain} is left")

    return containers.prove_each(place, look)


def knock(container: Container, port: int, times: int, within_s: float = 0.0) -> int:
    """Begin connections to it from this machine, and give each up after `within_s`. Return how many came about.

    Each is a packet in, and a packet out that its kernel answers with. Raises NotReadyError where it has no address.
    """
    endpoint = container.endpoint()
    if endpoint is None or not endpoint.address:
        raise NotReadyError("has no address on its network")
    came_about = 0
    for _ in range(times):
        with socket.socket() as knocking, suppress(OSError):
            knocking.settimeout(within_s)
            knocking.connect((endpoint.address, port))
            came_about += 1
    return came_about
