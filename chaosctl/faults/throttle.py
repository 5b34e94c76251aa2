"""A thin line: what a container sends, over all its connections, gets through at so many bytes a second at most (the
kernel's token bucket, tc-tbf(8)); what is more waits, and is dropped where too much does. What reaches the container is
left alone."""

from __future__ import annotations

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import BytesPerS
from chaosctl.faults import containers, queues
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.faults.queues import Arrived
from chaosctl.safety.queues import lacks
from chaosctl.safety.undo import Undo

# The bucket holds 10 ms of the rate, and never less than a packet as the kernel hands it on before it is cut up.
BURST_S = 0.01
LEAST_BURST_BYTES = 65_536
LATENCY = "400ms"
# A proof sends for so long, as it would take at that rate.
LOOK_S = 0.5
PACKET_BYTES = 1400
MOST_PACKETS = 20_000
MARGIN = 1.25


class ThrottleParams(Params):
    """How much."""

    rate_bytes_per_s: BytesPerS = Field(alias="rate", ge=10_000, description="What it sends at most: at least 10KB/s")


class Throttle:
    """A `tbf` queue at each interface."""

    kind = FaultKind(
        name="throttle",
        acts_on="service",
        params=ThrottleParams,
        lasting="always",
        dimension="queue",
        needs_containers=True,
        lacks=lambda: lacks(words_of(1_000_000)),
        summary="What the container sends gets through at `rate` at most, over all its connections",
        example="{ at: 8s, for: 6s, fault: throttle, on: world, rate: 200KB/s }",
    )

    def prepare(self, fault_id: str, place: Place, params: ThrottleParams) -> tuple[Undo, ...]:
        """Return the removal of its queues."""
        return queues.undo_queues(fault_id, place)

    def inject(self, fault_id: str, place: Place, params: ThrottleParams, now_ns: NowNs) -> Applied:
        """Add the queues. Raises NotReadyError."""
        return queues.add_queues(fault_id, place, words_of(params.rate_bytes_per_s), now_ns)

    def prove(self, fault_id: str, place: Place, params: ThrottleParams, applied: Applied) -> Proof:
        """Send more from its network namespace than can get through, and see how much does."""
        return containers.prove_each(place, lambda one: _look(fault_id, one, params.rate_bytes_per_s))

    def restore(self, fault_id: str, place: Place, params: ThrottleParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: ThrottleParams) -> Proof:
        """Ask the kernel: the queue is gone."""
        return containers.prove_each(place, lambda one: queues.prove_gone(fault_id, one))


def burst_bytes(rate: float) -> int:
    """Return what gets through at once, before the rate counts."""
    return max(LEAST_BURST_BYTES, round(rate * BURST_S))


def words_of(rate: float) -> tuple[str, ...]:
    """Return it as tc(8) and tc-tbf(8) have it; `bps` are bytes a second there."""
    return "tbf", "rate", f"{round(rate)}bps", "burst", str(burst_bytes(rate)), "latency", LATENCY


def _look(fault_id: str, container: Container, rate: float) -> Proof:
    queues.in_force(fault_id, container)
    count = min(MOST_PACKETS, round((burst_bytes(rate) + 2 * LOOK_S * rate) / PACKET_BYTES) + 1)
    return judge_rate(rate, queues.send_from(container, count, PACKET_BYTES, LOOK_S, paced=False))


def judge_rate(rate: float, arrived: Arrived) -> Proof:
    """Return whether what arrived, after what gets through at once, came at this rate and was kept from more."""
    later = len(arrived.at_ns) - burst_bytes(rate) // PACKET_BYTES
    if later < 2:
        return Proof(False, f"{len(arrived.at_ns)} of {arrived.sent} datagrams arrived: too few to tell")
    # From the first sending on: who takes them may begin late, and would find many waiting.
    lasted_ns = max(1, arrived.at_ns[-1] - (arrived.at_ns[0] - arrived.took_ns[0]))
    came = later * PACKET_BYTES * 1e9 / lasted_ns
    held = len(arrived.at_ns) < arrived.sent or arrived.took_ns[-1] > 1e9 * PACKET_BYTES / rate
    text = f"{came / 1000:.0f} KB/s of what it sends arrive, of {rate / 1000:.0f} KB/s at most"
    return Proof(came <= MARGIN * rate and held, text if held else f"{text}, and nothing was held back")


FAULT = Throttle()
