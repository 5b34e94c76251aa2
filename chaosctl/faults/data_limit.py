"""Data limit: every connection of a link ends after it carried so many bytes, like an impatient middlebox."""

from __future__ import annotations

from pydantic import Field

from chaosctl.exchange import exchange
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import SizeBytes
from chaosctl.faults.asking import DIRECT_S, THROUGH_S, prove_each, repeats, size_of
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import STREAMS, Direction, add_toxics, undo_toxics
from chaosctl.safety.undo import Undo


class DataLimitParams(Params):
    """How much."""

    size_bytes: SizeBytes = Field(alias="size", ge=1, le=2**40, description="What a connection carries before it ends")
    direction: Direction = Field("down", description="down: what the server sends; up: what it is sent; both: each")


class DataLimit:
    """A `limit_data` toxic on each stream of the direction. Connections that are open count from the inject on."""

    kind = FaultKind(
        name="data_limit",
        acts_on="link",
        params=DataLimitParams,
        lasting="always",
        dimension="data_limit",
        summary="Each connection ends after it carried `size`",
        example="{ at: 5s, for: 5s, fault: data_limit, on: world-ledger, size: 4KiB }",
    )

    def prepare(self, fault_id: str, place: Place, params: DataLimitParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics."""
        return undo_toxics(fault_id, place, STREAMS[params.direction])

    def inject(self, fault_id: str, place: Place, params: DataLimitParams, now_ns: NowNs) -> Applied:
        """Add its toxics. Raises RelayError."""
        attributes = {"bytes": params.size_bytes}
        return add_toxics(fault_id, place, STREAMS[params.direction], "limit_data", attributes, now_ns)

    def prove(self, fault_id: str, place: Place, params: DataLimitParams, applied: Applied) -> Proof:
        """Ask for more than the limit in one go: the connection ends early, and directly it does not."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=False))

    def restore(self, fault_id: str, place: Place, params: DataLimitParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: DataLimitParams) -> Proof:
        """Ask for as much: everything comes."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=True))


def _look(proxy: ProxyControl, hello: Hello, params: DataLimitParams, *, healed: bool) -> Proof:
    size = size_of(proxy, hello)
    if isinstance(size, Proof):
        return size
    limited = {"up": size[0], "down": size[1], "both": max(size)}[params.direction]
    # One more than fits, and one for answers that differ in length.
    repeat = repeats(size, params.size_bytes / limited + 2)
    if repeat * limited <= params.size_bytes:
        return Proof(False, f"not seen: the {repeat * limited} bytes that a proof may ask for are within the limit")
    direct = exchange(proxy.upstream, hello, DIRECT_S, repeat=repeat)
    if direct.outcome != "answered":
        return Proof(False, f"the service itself does not answer {repeat} questions in one go: {direct.outcome}")
    through = exchange(proxy.listen, hello, THROUGH_S, repeat=repeat)
    whole = through.outcome == "answered" and through.bytes_received >= direct.bytes_received
    # A connection that was cut reads as answered in part, or as an end of file before the answer.
    cut = through.outcome in ("answered", "closed", "reset") and through.bytes_received < direct.bytes_received
    within = params.direction == "up" or through.bytes_received <= params.size_bytes
    text = (
        f"of {direct.bytes_received} bytes answered directly, {through.bytes_received} came through the relay "
        f"({through.outcome}); the limit is {params.size_bytes} bytes"
    )
    return Proof(whole if healed else cut and within, text)


FAULT = DataLimit()
