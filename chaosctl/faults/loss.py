"""Packet loss: each packet is dropped with a chance of its own, by the kernel's own dice (not seeded, as in a real
network). TCP rides it out by sending again, so what is seen is slowness, worse the higher the loss."""

from __future__ import annotations

import math

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import Share
from chaosctl.faults import containers, firewall
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.faults.firewall import NOBODYS_PORT, Way
from chaosctl.safety.container import firewall_lacks
from chaosctl.safety.undo import Undo

# A proof wants this many lost packets, of at most so many, and takes a share within so many standard deviations.
WANTED_LOST = 40
LEAST_SENT = 100
MOST_SENT = 2000
SIGMAS = 5.0


class LossParams(Params):
    """How much, and which way."""

    share: Share = Field(ge=0.01, le=1.0, description="The share of packets that are lost: at least 1%")
    direction: Way = Field("both", description="in: what reaches the container is lost; out: what it sends; both")


class Loss:
    """A chain that drops by chance."""

    kind = FaultKind(
        name="loss",
        acts_on="service",
        params=LossParams,
        lasting="always",
        dimension="packets",
        needs_containers=True,
        lacks=firewall_lacks,
        summary="A share of the packets to and from the container is lost (iptables in its network namespace)",
        example="{ at: 8s, for: 6s, fault: loss, on: world, share: 20% }",
    )

    def prepare(self, fault_id: str, place: Place, params: LossParams) -> tuple[Undo, ...]:
        """Return the removal of its chains."""
        return firewall.undo_chains(fault_id, place)

    def inject(self, fault_id: str, place: Place, params: LossParams, now_ns: NowNs) -> Applied:
        """Add the chains. Raises NotReadyError."""
        by_chance = "" if params.share == 1 else f"-m statistic --mode random --probability {params.share:.6f} "
        rules = (f"{by_chance}-j DROP",)
        return firewall.add_chains(fault_id, place, rules, lambda _: firewall.jumps(params.direction), now_ns)

    def prove(self, fault_id: str, place: Place, params: LossParams, applied: Applied) -> Proof:
        """Knock at a port, and have the kernel count what came to the chain and what it lost of it."""
        return containers.prove_each(place, lambda one: _look(fault_id, one, params.share))

    def restore(self, fault_id: str, place: Place, params: LossParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: LossParams) -> Proof:
        """Ask the kernel: the chain is gone."""
        return firewall.prove_gone(fault_id, place)


def _look(fault_id: str, container: Container, share: float) -> Proof:
    came_before, lost_before = firewall.counted(fault_id, container, "DROP")
    firewall.knock(container, NOBODYS_PORT, min(MOST_SENT, max(LEAST_SENT, math.ceil(WANTED_LOST / share))))
    came, lost = firewall.counted(fault_id, container, "DROP")
    return judge_loss(came - came_before, lost - lost_before, share)


def judge_loss(came: int, lost: int, share: float) -> Proof:
    """Return whether so many lost packets are this share, as far as chance lets one tell."""
    text = f"{lost} of {came} packets were lost"
    if came < LEAST_SENT // 2:
        return Proof(False, f"{text}: too few came to tell")
    # With the least of one packet, for a share of all.
    deviation = max(1.0, math.sqrt(came * share * (1 - share)))
    return Proof(
        lost > 0 and abs(lost - came * share) <= SIGMAS * deviation, f"{text}, {share:.3g} of them meant to be"
    )


FAULT = Loss()
