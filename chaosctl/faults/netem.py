"""A bad network, by the kernel's network emulator (netem(8)) at the container's interfaces: what it sends is delayed,
lost, doubled, overtaken or damaged, packet by packet and with the kernel's own dice. Not every kernel has it; what
reaches the container is left alone."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import NS_PER_S, DurationNs, Share
from chaosctl.faults import containers, queues
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.faults.loss import LEAST_SENT, MOST_SENT, SIGMAS, WANTED_LOST
from chaosctl.faults.queues import Arrived
from chaosctl.safety.queues import lacks
from chaosctl.safety.undo import Undo

# netem holds 1000 packets unless told otherwise, and drops what is more: that would be a loss that nobody asked for.
LIMIT_PACKETS = "10000"
US_PER_NS = 1000
# By how much the way of a datagram may be shorter than the delay: the kernel counts in ticks of its own.
EARLY_NS = 1_000_000
WAIT_S = 0.3
SIZE_BYTES = 64


class NetemParams(Params):
    """What becomes of what the container sends; at least one of them."""

    delay_ns: DurationNs = Field(default=0, alias="delay", le=NS_PER_S, description="How long each packet is held back")
    jitter_ns: DurationNs = Field(
        default=0, alias="jitter", le=NS_PER_S, description="Each delay is so much shorter or longer at most, by chance"
    )
    loss: Share = Field(default=0.0, le=1.0, description="The share of packets that are lost")
    duplicate: Share = Field(default=0.0, le=1.0, description="The share of packets that arrive twice")
    reorder: Share = Field(
        default=0.0, le=1.0, description="The share of packets that overtake those held back; needs delay"
    )
    corrupt: Share = Field(
        default=0.0, le=1.0, description="The share of packets of which a bit is wrong, so they are lost"
    )

    @model_validator(mode="after")
    def _something(self) -> NetemParams:
        if not (self.delay_ns or self.loss or self.duplicate or self.corrupt):
            raise ValueError("nothing would happen; write one of delay, loss, duplicate, corrupt, or delay and reorder")
        if (self.reorder or self.jitter_ns) and not self.delay_ns:
            raise ValueError("what is not held back cannot be overtaken or vary; add delay, such as delay: 20ms")
        if self.jitter_ns > self.delay_ns:
            raise ValueError("jitter is more than delay, and nothing can be early; make it at most as long")
        return self


class Netem:
    """A `netem` queue at each interface."""

    kind = FaultKind(
        name="netem",
        acts_on="service",
        params=NetemParams,
        lasting="always",
        dimension="queue",
        needs_containers=True,
        lacks=lambda: lacks(("netem", "delay", "1ms")),
        summary="What the container sends is delayed, lost, doubled, overtaken or damaged (the kernel's sch_netem)",
        example="{ at: 8s, for: 6s, fault: netem, on: world, delay: 40ms, jitter: 10ms, reorder: 25%, duplicate: 1% }",
    )

    def prepare(self, fault_id: str, place: Place, params: NetemParams) -> tuple[Undo, ...]:
        """Return the removal of its queues."""
        return queues.undo_queues(fault_id, place)

    def inject(self, fault_id: str, place: Place, params: NetemParams, now_ns: NowNs) -> Applied:
        """Add the queues. Raises NotReadyError."""
        return queues.add_queues(fault_id, place, words_of(params), now_ns)

    def prove(self, fault_id: str, place: Place, params: NetemParams, applied: Applied) -> Proof:
        """Send from its network namespace, and see what becomes of it."""
        return containers.prove_each(place, lambda one: _look(fault_id, one, params))

    def restore(self, fault_id: str, place: Place, params: NetemParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: NetemParams) -> Proof:
        """Ask the kernel: the queue is gone."""
        return containers.prove_each(place, lambda one: queues.prove_gone(fault_id, one))


def words_of(params: NetemParams) -> tuple[str, ...]:
    """Return it as tc(8) and netem(8) have it."""
    words = ["netem", "limit", LIMIT_PACKETS]
    if params.delay_ns:
        words += ["delay", *(f"{one // US_PER_NS}us" for one in (params.delay_ns, params.jitter_ns) if one)]
    for name in ("loss", "duplicate", "reorder", "corrupt"):
        if share := getattr(params, name):
            words += [name, f"{share * 100:.6g}%"]
    return tuple(words)


def _look(fault_id: str, container: Container, params: NetemParams) -> Proof:
    queue = queues.in_force(fault_id, container)
    if queue.kind != "netem":
        return Proof(False, f"the kernel has a queue of the kind {queue.kind} there")
    least = min(share for share in (params.loss, params.duplicate, params.reorder, params.corrupt, 1.0) if share)
    count = min(MOST_SENT, max(LEAST_SENT, math.ceil(WANTED_LOST / least)))
    longest_s = (params.delay_ns + params.jitter_ns) / NS_PER_S
    return judge_netem(params, queues.send_from(container, count, SIZE_BYTES, longest_s + WAIT_S))


def judge_netem(params: NetemParams, arrived: Arrived) -> Proof:
    """Return whether what arrived looks like that, as far as chance lets one tell; each that is asked for has to."""
    seen = set(arrived.numbers)
    lost, twice = arrived.sent - len(seen), len(arrived.numbers) - len(seen)
    texts, wrong = [f"{lost} of {arrived.sent} were lost"], []
    # A wrong bit makes the checksum wrong, and what has a wrong checksum is not handed on.
    missing = 1 - (1 - params.loss) * (1 - params.corrupt)
    if missing and not _is_share(lost, arrived.sent, missing):
        wrong.append(f"{missing:.3g} of them meant to be")
    if params.duplicate:
        texts.append(f"{twice} came twice")
        # As likely as not, the second one is lost as well.
        if not _is_share(twice, arrived.sent, params.duplicate * (1 - missing)):
            wrong.append(f"{params.duplicate:.3g} of them meant to")
    if params.reorder:
        overtaken = _overtaken(arrived.numbers)
        texts.append(f"{overtaken} came after a later one")
        wrong += [] if overtaken else ["some were meant to be overtaken"]
    if params.delay_ns and missing < 1:
        held_ns = _held_ns(arrived.took_ns, params.reorder)
        texts.append(f"half took {held_ns / 1e6:.1f} ms or longer")
        if held_ns < params.delay_ns - params.jitter_ns // 2 - EARLY_NS:
            wrong.append(f"{params.delay_ns / 1e6:.1f} ms was meant")
    return Proof(not wrong, "; ".join([f"of what it sends, {', '.join(texts)}", *wrong]))


def _is_share(count: int, of: int, share: float) -> bool:
    # With the least of one packet, for a share of all.
    deviation = max(1.0, math.sqrt(of * share * (1 - share)))
    return count > 0 and abs(count - of * share) <= SIGMAS * deviation


def _overtaken(numbers: tuple[int, ...]) -> int:
    latest, count = -1, 0
    for number in numbers:
        count += number < latest
        latest = max(latest, number)
    return count


def _held_ns(took_ns: tuple[int, ...], reorder: float) -> float:
    """Return the median of those that were held back: what overtakes is not."""
    ordered = sorted(took_ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * (reorder + (1 - reorder) / 2)))] if ordered else 0.0


FAULT = Netem()
