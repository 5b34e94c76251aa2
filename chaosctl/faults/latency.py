"""Latency with jitter: every message of a link arrives so much later, evenly spread over latency ± jitter."""

from __future__ import annotations

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.faults.asking import Delay, delay_of, prove_each
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import NS_PER_MS, STREAMS, Direction, WholeMs, add_toxics, undo_toxics
from chaosctl.safety.undo import Undo

TIMES = 7
LONG_NS = 1_000_000_000


class LatencyParams(Params):
    """How much later."""

    latency_ns: WholeMs = Field(alias="latency", ge=NS_PER_MS, description="How much later messages arrive")
    jitter_ns: WholeMs = Field(0, alias="jitter", description="Spread: each message draws from latency ± jitter")
    direction: Direction = Field("down", description="down: what the server sends; up: what it is sent; both: each")

    @model_validator(mode="after")
    def _never_early(self) -> LatencyParams:
        if self.jitter_ns > self.latency_ns:
            raise ValueError("jitter is more than latency, and nothing arrives before it was sent; write a smaller one")
        return self

    @property
    def ways(self) -> int:
        """Return how often one question and its answer are delayed."""
        return len(STREAMS[self.direction])


class Latency:
    """A `latency` toxic on each stream of the direction."""

    kind = FaultKind(
        name="latency",
        acts_on="link",
        params=LatencyParams,
        lasting="always",
        dimension="latency",
        summary="Messages arrive later by `latency` ± `jitter`",
        example="{ at: 0s, for: 6s, fault: latency, on: gateway-world, latency: 80ms, jitter: 20ms }",
    )

    def prepare(self, fault_id: str, place: Place, params: LatencyParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics."""
        return undo_toxics(fault_id, place, STREAMS[params.direction])

    def inject(self, fault_id: str, place: Place, params: LatencyParams, now_ns: NowNs) -> Applied:
        """Add its toxics. Raises RelayError."""
        attributes = {"latency": params.latency_ns // NS_PER_MS, "jitter": params.jitter_ns // NS_PER_MS}
        return add_toxics(fault_id, place, STREAMS[params.direction], "latency", attributes, now_ns)

    def prove(self, fault_id: str, place: Place, params: LatencyParams, applied: Applied) -> Proof:
        """Ask through the relay and directly: the difference of the medians is the latency, less its spread."""
        return prove_each(place, lambda proxy, hello: _look(place, proxy, hello, params, healed=False))

    def restore(self, fault_id: str, place: Place, params: LatencyParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: LatencyParams) -> Proof:
        """Ask both ways: the difference is less than half of the latency."""
        return prove_each(place, lambda proxy, hello: _look(place, proxy, hello, params, healed=True))


def _look(place: Place, proxy: ProxyControl, hello: Hello, params: LatencyParams, *, healed: bool) -> Proof:
    delay = delay_of(proxy, hello, TIMES)
    if isinstance(delay, Proof):
        return delay
    usual_ns, usual_jitter_ns = place.usual_delays_ns.get(proxy.name, (0, 0))
    return judge(delay, params, usual_ns, usual_jitter_ns, healed=healed)


def judge(
    delay: Delay, params: LatencyParams, usual_ns: DurationNs, usual_jitter_ns: DurationNs, *, healed: bool
) -> Proof:
    """Return whether the delay beyond what the link always has is there, or (`healed`) is gone.

    What is added has to be half of the latency, less with a large jitter (a quarter where it is as large as the
    latency): the direct way may take longer by chance while it is asked. And no answer may be earlier than the fault
    lets it be, but for a tenth.
    """
    added_ns = delay.added_ns - usual_ns
    least_ns = params.ways * (2 * params.latency_ns - params.jitter_ns) / 4
    earliest_ns = params.ways * (params.latency_ns - params.jitter_ns) * 0.9 + usual_ns - usual_jitter_ns
    if usual_jitter_ns > least_ns:
        hidden = f"its cohort's own jitter of {format_duration(usual_jitter_ns)} hides what the fault adds"
        return Proof(False, f"{delay}; {hidden}")
    if delay.censored:
        # The bound of a proof came before the answer: the rest of a long latency is not waited for.
        least_ns, earliest_ns = min(least_ns, LONG_NS), 0
    there = added_ns >= least_ns
    proved = not there and not delay.censored if healed else there and delay.through_ns >= earliest_ns
    asked = f"{format_duration(params.latency_ns)} ± {format_duration(params.jitter_ns)}"
    usual = f", of which {format_duration(usual_ns)} are the cohort's own" if usual_ns else ""
    each = " each way" if params.ways > 1 else ""
    return Proof(proved, f"{delay}{usual}; the fault asked for {asked}{each}")


FAULT = Latency()
