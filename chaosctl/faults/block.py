"""Blocked: packets to or from a container are dropped or rejected, at one port or all, one way or both. One way only
is what a partition looks like when one side still hears the other."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import containers, firewall
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.faults.firewall import NOBODYS_PORT, Way
from chaosctl.safety.container import firewall_lacks
from chaosctl.safety.undo import Undo

KNOCK_S = 0.3
TARGETS = {"drop": "DROP", "reject": "REJECT"}
RULES = {
    "drop": ("-j DROP",),
    # TCP is reset, all else told that the port cannot be reached; where both ways are blocked, these have to get out.
    "reject": (
        "-p tcp -m tcp --tcp-flags RST RST -j RETURN",
        "-p icmp -m icmp --icmp-type 3 -j RETURN",
        "-p tcp -j REJECT --reject-with tcp-reset",
        "-j REJECT",
    ),
}


class BlockParams(Params):
    """Which packets, and what becomes of them."""

    mode: Literal["drop", "reject"] = Field("drop", description="drop: silence; reject: refused at once")
    direction: Way = Field("both", description="in: what reaches the container; out: what it sends; both")
    port: str | None = Field(None, description="Only at this port of the service, by its name; left out: at all")


class Block:
    """A chain that drops or rejects."""

    kind = FaultKind(
        name="block",
        acts_on="service",
        params=BlockParams,
        lasting="always",
        dimension="packets",
        takes_down="while",
        needs_containers=True,
        lacks=firewall_lacks,
        ports=frozenset({"port"}),
        summary="Packets to or from the container, or one port of it, are dropped or rejected; also one way only",
        example="{ at: 8s, for: 4s, fault: block, on: world, port: main, direction: out }",
    )

    def prepare(self, fault_id: str, place: Place, params: BlockParams) -> tuple[Undo, ...]:
        """Return the removal of its chains."""
        return firewall.undo_chains(fault_id, place)

    def inject(self, fault_id: str, place: Place, params: BlockParams, now_ns: NowNs) -> Applied:
        """Add the chains. Raises NotReadyError."""

        def jumps_of(one: Container) -> tuple[str, ...]:
            return firewall.jumps(params.direction, None if params.port is None else one.ports[params.port])

        return firewall.add_chains(fault_id, place, RULES[params.mode], jumps_of, now_ns)

    def prove(self, fault_id: str, place: Place, params: BlockParams, applied: Applied) -> Proof:
        """Knock at the port: no connection comes about, and the kernel counts what it kept from passing."""
        return containers.prove_each(place, lambda one: _look(fault_id, one, params))

    def restore(self, fault_id: str, place: Place, params: BlockParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: BlockParams) -> Proof:
        """Ask the kernel: the chain is gone."""
        return firewall.prove_gone(fault_id, place)


def _look(fault_id: str, container: Container, params: BlockParams) -> Proof:
    names = [params.port] if params.port is not None else list(container.ports)
    port = int(container.ports[names[0]]) if names else NOBODYS_PORT
    _, before = firewall.counted(fault_id, container, TARGETS[params.mode])
    came_about = firewall.knock(container, port, 1, KNOCK_S)
    _, after = firewall.counted(fault_id, container, TARGETS[params.mode])
    text = f"a connection to port {port} {'came' if came_about else 'did not come'} about"
    return Proof(not came_about and after > before, f"{text}; {after - before} packets were kept from passing")


FAULT = Block()
