"""Partition: a link is cut. How it is cut decides what the two ends notice, so the experiment says which way.

- `blackhole`: bytes wait, connections stay. Like a cable that is out: TCP rides it out, or somebody's timeout ends it.
- `refuse`: open connections are cut, new ones are refused. Like a process that is gone from its port.
- `reset`: open connections are cut, new ones are reset at the first byte. Like a firewall that forgot its state.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from chaosctl.exchange import Exchange, exchange
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.faults import wires
from chaosctl.faults.asking import DIRECT_S, join_looks
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import STREAMS, Direction, add_toxics, undo_toxics
from chaosctl.safety.undo import HttpUndo, Undo

NS_PER_S = 1_000_000_000
# Rate 0 holds bytes back and gives them out when it is removed (Toxiproxy 2.12, toxics/bandwidth.go); the `timeout`
# toxic, which its users take for this, throws them away and closes the connections.
STALL = {"rate": 0}
BOTH = STREAMS["both"]
SEEN = {"blackhole": ("silent",), "reset": ("reset", "closed")}
SILENT_S = 0.6
LONGEST_LOOK_S = 1.4
# Says nothing and expects nothing: a bare connection.
NOTHING = Hello(send="", expect="", http=None, port=None)
BARE_S = 0.3


class PartitionParams(Params):
    """Which way it is cut."""

    mode: Literal["blackhole", "refuse", "reset"] = Field("blackhole", description="What the two ends notice")
    direction: Direction = Field(
        "both", description="With blackhole: down, what the server sends is lost; up, what it is sent; both"
    )

    @model_validator(mode="after")
    def _both_ways(self) -> PartitionParams:
        if self.mode != "blackhole" and self.direction != "both":
            raise ValueError(f"{self.mode} ends whole connections; leave out direction, or write mode: blackhole")
        return self


class Partition:
    """A stall on each stream, a shut listener, or a reset at the first byte."""

    kind = FaultKind(
        name="partition",
        acts_on="link",
        params=PartitionParams,
        lasting="always",
        dimension="partition",
        without_relay={"mode": frozenset({"blackhole", "refuse"})},
        summary="The link is cut: `blackhole` (silence), `refuse` or `reset`",
        example="{ at: 24s, for: 4s, fault: partition, on: world-ledger, mode: blackhole }",
    )

    def prepare(self, fault_id: str, place: Place, params: PartitionParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics, for a stall after letting it flow, and for a shut listener its opening."""
        if place.wires:
            return wires.undo_cut(fault_id, place)
        opened = tuple(HttpUndo("PATCH", proxy.api_url, {"enabled": True}) for proxy in place.proxies)
        if params.mode == "refuse":
            return opened
        removed = undo_toxics(fault_id, place, STREAMS[params.direction])
        return _let_flow(removed) + removed if params.mode == "blackhole" else removed + opened

    def inject(self, fault_id: str, place: Place, params: PartitionParams, now_ns: NowNs) -> Applied:
        """Cut. Raises RelayError, NotReadyError."""
        if place.wires:
            return wires.cut(fault_id, place, wires.Cut(params.mode, params.direction), now_ns)
        if params.mode == "blackhole":
            return add_toxics(fault_id, place, STREAMS[params.direction], "bandwidth", STALL, now_ns)
        called_ns = now_ns()
        if params.mode == "reset":
            add_toxics(fault_id, place, BOTH, "reset_peer", {"timeout": 0}, now_ns)
        for proxy in place.proxies:
            proxy.set_enabled(False)
            if params.mode == "reset":
                # reset_peer leaves idle connections alone; shutting the listener for a moment cuts them.
                proxy.set_enabled(True)
        return Applied(called_ns, now_ns(), tuple(proxy.name for proxy in place.proxies))

    def prove(self, fault_id: str, place: Place, params: PartitionParams, applied: Applied) -> Proof:
        """Ask through the relay and directly: here silence, a refusal or a reset, there an answer."""
        if place.wires:
            return wires.prove_cut(fault_id, place, wires.Cut(params.mode, params.direction))
        return join_looks(place, lambda proxy: _look_cut(place, proxy, params))

    def restore(self, fault_id: str, place: Place, params: PartitionParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: PartitionParams) -> Proof:
        """Ask through the relay: it answers."""
        if place.wires:
            return wires.prove_whole(fault_id, place)
        return join_looks(place, lambda proxy: _look_whole(place, proxy))


def _let_flow(removed: tuple[HttpUndo, ...]) -> tuple[HttpUndo, ...]:
    """Toxiproxy waits 5 s for each held chunk whose connection has died meanwhile, and its API with it, when a stall
    is removed (its issue 558). A stall that first spares every connection lets them go at once. Its rate is left alone:
    the server cuts a held chunk by it, and panics where another one is longer (2.12, toxics/bandwidth.go)."""
    return tuple(HttpUndo("PATCH", one.url, {"toxicity": 0}) for one in removed)


def _look_cut(place: Place, proxy: ProxyControl, params: PartitionParams) -> Proof:
    if place.hello is None:
        if params.mode != "refuse":
            return Proof(False, f"a bare connection does not tell; declare `probe:` for the service behind {place.on}")
        met = exchange(proxy.listen, NOTHING, BARE_S)
        return Proof(met.outcome == "refused", f"a connection through the relay was {_taken(met)}")
    direct = exchange(proxy.upstream, place.hello, DIRECT_S)
    through = exchange(proxy.listen, place.hello, _patience_s(place, proxy, direct))
    return judge_cut(params, through, direct)


def _patience_s(place: Place, proxy: ProxyControl, direct: Exchange) -> float:
    """Return how long no answer has to last to be called silence: longer than an answer usually takes."""
    usual_ns = sum(place.usual_delays_ns.get(proxy.name, ())) + 4 * (direct.end_ns - direct.sent_ns)
    return min(LONGEST_LOOK_S, SILENT_S + usual_ns / NS_PER_S)


def judge_cut(params: PartitionParams, through: Exchange, direct: Exchange) -> Proof:
    """Return whether what the two ways met is this cut.

    Refused is plain, since a relay accepts connections for a dead service too. It then resets or closes them, so
    these, and silence, could be the service's own, unless it answers directly.
    """
    text = f"through the relay: {through.outcome}, directly: {direct.outcome}"
    if params.mode == "refuse":
        return Proof(through.outcome == "refused", text)
    if direct.outcome != "answered":
        return Proof(False, f"{text}: the service itself does not answer")
    return Proof(through.outcome in SEEN[params.mode], text)


def _taken(bare: Exchange) -> str:
    # Some services speak first.
    return "accepted" if bare.outcome in ("silent", "answered") else bare.outcome


def _look_whole(place: Place, proxy: ProxyControl) -> Proof:
    if place.hello is None:
        through = exchange(proxy.listen, NOTHING, BARE_S)
        return Proof(_taken(through) == "accepted", f"a connection through the relay was {_taken(through)}")
    through = exchange(proxy.listen, place.hello, LONGEST_LOOK_S)
    if through.outcome == "answered":
        return Proof(True, "the question is answered through the relay")
    direct = exchange(proxy.upstream, place.hello, DIRECT_S)
    return Proof(False, f"through the relay: {through.outcome}, directly: {direct.outcome}")


FAULT = Partition()
