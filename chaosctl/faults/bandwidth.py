"""Bandwidth: each connection of a link carries at most so many bytes a second; what is more waits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import NS_PER_S, BytesPerS
from chaosctl.faults.asking import prove_each, prove_slow
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import STREAMS, Direction, add_toxics, undo_toxics
from chaosctl.safety.undo import Undo

# A toxic's KB is 1000 bytes: it waits one millisecond for each `rate` bytes (Toxiproxy 2.12, toxics/bandwidth.go).
BYTES_PER_KB = 1000
# A toxic knows whole KB/s only; what would be off by more than this is refused.
ROUNDING = 0.05


def _whole_kb(rate: int) -> int:
    if rate < BYTES_PER_KB:
        raise ValueError(f"{rate} B/s is less than a relay can do; write at least 1KB/s, or use a partition")
    if abs(to_kb(rate) * BYTES_PER_KB - rate) > ROUNDING * rate:
        raise ValueError(f"a relay knows whole KB/s only, and {rate} B/s is far from one; write {to_kb(rate)}KB/s")
    return rate


def to_kb(rate: int) -> int:
    """Return the nearest number of KB/s."""
    return round(rate / BYTES_PER_KB)


class BandwidthParams(Params):
    """How much."""

    rate_bytes_per_s: Annotated[BytesPerS, AfterValidator(_whole_kb)] = Field(
        alias="rate", description="What each connection carries at most in each direction named"
    )
    direction: Direction = Field("both", description="down: what the server sends; up: what it is sent; both: each")


class Bandwidth:
    """A `bandwidth` toxic on each stream of the direction."""

    kind = FaultKind(
        name="bandwidth",
        acts_on="link",
        params=BandwidthParams,
        lasting="always",
        dimension="bandwidth",
        summary="Each connection carries at most `rate`",
        example="{ at: 5s, for: 10s, fault: bandwidth, on: bots-gateway, rate: 64KiB/s }",
    )

    def prepare(self, fault_id: str, place: Place, params: BandwidthParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics."""
        return undo_toxics(fault_id, place, STREAMS[params.direction])

    def inject(self, fault_id: str, place: Place, params: BandwidthParams, now_ns: NowNs) -> Applied:
        """Add its toxics. Raises RelayError."""
        attributes = {"rate": to_kb(params.rate_bytes_per_s)}
        return add_toxics(fault_id, place, STREAMS[params.direction], "bandwidth", attributes, now_ns)

    def prove(self, fault_id: str, place: Place, params: BandwidthParams, applied: Applied) -> Proof:
        """Send enough in one go to take 0.3 s at this rate: through the relay it takes longer by about that."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=False))

    def restore(self, fault_id: str, place: Place, params: BandwidthParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: BandwidthParams) -> Proof:
        """Send as much: through the relay it does not take longer."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=True))


def _look(proxy: ProxyControl, hello: Hello, params: BandwidthParams, *, healed: bool) -> Proof:
    def needed_ns(sent: int, answered: int) -> float:
        carried = {"up": sent, "down": answered, "both": max(sent, answered)}[params.direction]
        return carried * NS_PER_S / params.rate_bytes_per_s

    return prove_slow(proxy, hello, needed_ns, healed=healed)


FAULT = Bandwidth()
