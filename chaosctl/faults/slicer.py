"""Slicer: what a link carries is cut into small pieces with a pause after each, as a bad radio link does.

A receiver that takes one read for one message breaks here.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import SizeBytes
from chaosctl.faults.asking import prove_each, prove_slow
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import NS_PER_US, STREAMS, WholeUs, add_toxics, undo_toxics
from chaosctl.safety.undo import Undo

BOTH = STREAMS["both"]


class SlicerParams(Params):
    """How small, and how long between."""

    average_bytes: SizeBytes = Field(alias="average", ge=1, le=2**30, description="The size of a piece, on average")
    variation_bytes: SizeBytes = Field(0, alias="variation", description="Pieces differ from it by at most this")
    delay_ns: WholeUs = Field(
        alias="delay", ge=NS_PER_US, description="The pause after each piece; without one they are joined on the way"
    )

    @model_validator(mode="after")
    def _smaller(self) -> SlicerParams:
        if self.variation_bytes >= self.average_bytes:
            raise ValueError("variation is not less than average, and no piece can be empty; write a smaller one")
        return self


class Slicer:
    """A `slicer` toxic on both streams."""

    kind = FaultKind(
        name="slicer",
        acts_on="link",
        params=SlicerParams,
        lasting="always",
        dimension="slicer",
        summary="Messages arrive in small pieces, in both directions, with a pause after each",
        example="{ at: 5s, for: 5s, fault: slicer, on: bots-gateway, average: 16B, variation: 8B, delay: 5ms }",
    )

    def prepare(self, fault_id: str, place: Place, params: SlicerParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics."""
        return undo_toxics(fault_id, place, BOTH)

    def inject(self, fault_id: str, place: Place, params: SlicerParams, now_ns: NowNs) -> Applied:
        """Add its toxics. Raises RelayError."""
        attributes = {
            "average_size": params.average_bytes,
            "size_variation": params.variation_bytes,
            "delay": params.delay_ns // NS_PER_US,
        }
        return add_toxics(fault_id, place, BOTH, "slicer", attributes, now_ns)

    def prove(self, fault_id: str, place: Place, params: SlicerParams, applied: Applied) -> Proof:
        """Send enough in one go for 0.3 s of pauses: through the relay it takes longer by about that."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=False))

    def restore(self, fault_id: str, place: Place, params: SlicerParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: SlicerParams) -> Proof:
        """Send as much: through the relay it does not take longer."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=True))


def _look(proxy: ProxyControl, hello: Hello, params: SlicerParams, *, healed: bool) -> Proof:
    def pauses_ns(sent: int, answered: int) -> float:
        # Both ways overlap; no piece is larger than average + variation (Toxiproxy 2.12, toxics/slicer.go).
        return max(sent, answered) / (params.average_bytes + params.variation_bytes) * params.delay_ns

    return prove_slow(proxy, hello, pauses_ns, healed=healed)


FAULT = Slicer()
