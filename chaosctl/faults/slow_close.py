"""Slow close: the end of a connection is told to the other side late, so that it holds on to what is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pydantic import Field

from chaosctl.exchange import open_and_wait_eof
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import format_duration
from chaosctl.faults.asking import DIRECT_S, THROUGH_S, prove_each
from chaosctl.faults.contract import Applied, NowNs, Place, Proof, ProxyControl
from chaosctl.faults.toxics import NS_PER_MS, STREAMS, WholeMs, add_toxics, undo_toxics
from chaosctl.safety.undo import Undo

BOTH = STREAMS["both"]
# The share of the delay that has to be seen, and what is long enough where the bound of a proof comes first.
SHARE = 0.8
LONG_NS = 500_000_000


class SlowCloseParams(Params):
    """How late."""

    delay_ns: WholeMs = Field(alias="delay", ge=NS_PER_MS, description="How much later the end of a connection is told")


class SlowClose:
    """A `slow_close` toxic on both streams."""

    kind = FaultKind(
        name="slow_close",
        acts_on="link",
        params=SlowCloseParams,
        lasting="always",
        dimension="slow_close",
        summary="The end of a connection reaches the other side late by `delay`",
        example="{ at: 5s, for: 5s, fault: slow_close, on: bots-gateway, delay: 800ms }",
    )

    def prepare(self, fault_id: str, place: Place, params: SlowCloseParams) -> tuple[Undo, ...]:
        """Return the removal of its toxics."""
        return undo_toxics(fault_id, place, BOTH)

    def inject(self, fault_id: str, place: Place, params: SlowCloseParams, now_ns: NowNs) -> Applied:
        """Add its toxics. Raises RelayError."""
        return add_toxics(fault_id, place, BOTH, "slow_close", {"delay": params.delay_ns // NS_PER_MS}, now_ns)

    def prove(self, fault_id: str, place: Place, params: SlowCloseParams, applied: Applied) -> Proof:
        """Say goodbye after an answer: through the relay the end of file comes later by the delay."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=False))

    def restore(self, fault_id: str, place: Place, params: SlowCloseParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: SlowCloseParams) -> Proof:
        """Say goodbye: through the relay the end of file does not come later."""
        return prove_each(place, lambda proxy, hello: _look(proxy, hello, params, healed=True))


def _look(proxy: ProxyControl, hello: Hello, params: SlowCloseParams, *, healed: bool) -> Proof:
    direct = _open_after_answer(proxy.upstream, hello, DIRECT_S)
    if direct is None:
        return Proof(False, f"the service itself does not answer at {proxy.upstream}")
    if not direct.closed:
        return Proof(False, f"the service at {proxy.upstream} does not close a connection when its client does")
    through = _open_after_answer(proxy.listen, hello, THROUGH_S)
    if through is None:
        return Proof(False, f"through the relay the question was not answered, directly at {proxy.upstream} it was")
    held_ns = through.for_ns - direct.for_ns
    least_ns = SHARE * params.delay_ns if through.closed else min(SHARE * params.delay_ns, LONG_NS)
    proved = through.closed and held_ns < params.delay_ns / 2 if healed else held_ns >= least_ns
    came = "came" if through.closed else "had not come"
    return Proof(
        proved,
        f"the end of file {came} {format_duration(through.for_ns)} after goodbye through the relay, "
        f"{format_duration(direct.for_ns)} directly; the fault asked for {format_duration(params.delay_ns)} more",
    )


@dataclass(frozen=True)
class _Open:
    """How long a connection stayed open after the answer, and whether it was closed then."""

    for_ns: int
    closed: bool


def _open_after_answer(address: str, hello: Hello, within_s: float) -> _Open | None:
    answered_ns, eof_ns = open_and_wait_eof(address, hello, within_s)
    if answered_ns is None:
        return None
    return _Open((eof_ns or time.monotonic_ns()) - answered_ns, eof_ns is not None)


FAULT = SlowClose()
