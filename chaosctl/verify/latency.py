"""The `latency` objective: percentiles of the time from an operation's intended start to its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.recording.facts import During, load_window, strikes, windows
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most, inside, quantile

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class LatencyParams(Params):
    """Upper limits, any of them."""

    p50_ns: DurationNs | None = Field(None, alias="p50", description="Half of the operations take at most so long")
    p90_ns: DurationNs | None = Field(None, alias="p90", description="90% take at most so long")
    p95_ns: DurationNs | None = Field(None, alias="p95", description="95% take at most so long")
    p99_ns: DurationNs | None = Field(None, alias="p99", description="99% take at most so long")
    p99_9_ns: DurationNs | None = Field(None, alias="p99.9", description="99.9% take at most so long")
    max_ns: DurationNs | None = Field(None, alias="max", description="Every operation takes at most so long")
    during: During = Field("steady", description="Which stretch: baseline, steady, faults or all")
    settle_ns: DurationNs = Field(3_000_000_000, alias="settle", description="`steady` starts so long after a heal")
    cohort: str | None = Field(None, description="Only the bots of this cohort")
    operation: str | None = Field(None, description="Only this operation")

    @model_validator(mode="after")
    def _something(self) -> LatencyParams:
        if not self.limits():
            raise ValueError("give at least one of p50, p90, p95, p99, p99.9, max")
        return self

    def limits(self) -> dict[str, int]:
        """Return the limits given, by percentile name, in ns."""
        named = {name: getattr(self, f"{name.replace('.', '_')}_ns") for name in _QUANTILES}
        return {name: limit for name, limit in named.items() if limit is not None}


class LatencyChecker:
    """Latency counts from the intended start, so that a stalled target cannot slow down its own measurement.

    Counted are operations that took effect. One whose outcome nobody knows, or that never ended, took *at least* as
    long as it was waited for. One that was refused got no answer and belongs to `errors`.
    """

    kind = ObjectiveKind(
        name="latency",
        params=LatencyParams,
        summary="Percentiles of the time from an operation's intended start to its answer.",
        example="latency: { p99: 250ms, during: steady }",
    )

    def check(self, recording: Recording, params: LatencyParams) -> Checked:
        """Return one finding a percentile."""
        import numpy as np

        from chaosctl.recording.model import Outcome

        samples = recording.samples("swarm")
        spans = windows(recording, params.during, params.settle_ns)
        indices = inside(samples, spans, strikes(recording), params.cohort, params.operation)
        indices = indices[samples.outcome[indices] != Outcome.FAIL]
        begun, ended, sent = samples.intended_ns[indices], samples.end_ns[indices], samples.sent_ns[indices]
        seen = (samples.outcome[indices] == Outcome.OK) & (ended >= 0)
        load = load_window(recording)
        over_ns = np.maximum(ended, load[1] if load else 0, where=ended < 0, out=ended.copy())
        took_ns, waited_ns = (over_ns - begun)[seen], np.maximum(over_ns - begun, 0)[~seen]
        service_ns = (ended - sent)[seen]
        clock_error_ns = float(recording.clock_error_ns)
        findings = [
            _finding(name, limit, (took_ns, waited_ns, service_ns), params, samples.open_loop, clock_error_ns)
            for name, limit in params.limits().items()
        ]
        return Checked(tuple(findings))


def _finding(
    name: str, limit_ns: int, data: tuple[Any, Any, Any], params: LatencyParams, open_loop: bool, clock_error_ns: float
) -> Finding:
    took_ns, waited_ns, service_ns = data
    q, n = _QUANTILES[name], len(took_ns) + len(waited_ns)
    base: Mapping[str, Any] = {
        "name": f"latency.{name}",
        "checker": "latency",
        "op": "<=",
        "expected": Quantity(limit_ns, "ns"),
    }
    if n == 0:
        why = f"no operation was seen {_where(params)}"
        return Finding(**base, status=Status.INCONCLUSIVE, measured=Quantity(None, "ns"), uncertainty=0.0, why=why)
    estimate = quantile(took_ns, waited_ns, q)
    status = at_most(estimate.least, estimate.most, limit_ns)
    why = _why(
        name,
        n,
        len(waited_ns),
        params,
        open_loop,
        quantile(service_ns, waited_ns[:0], q).least if len(service_ns) else None,
    )
    needed = 1 if q == 1 else round(10 / (1 - q))
    if n < needed:
        status, why = Status.INCONCLUSIVE, f"{n} operations are too few for {name}, it takes {needed}; {why}"
    return Finding(
        **base,
        status=status,
        measured=Quantity(estimate.least, "ns", censored=estimate.most != estimate.least),
        uncertainty=estimate.half_width + clock_error_ns,
        why=why,
        evidence=(Evidence("samples/", _where(params), f"{n} operations, {len(waited_ns)} of them without an answer"),),
    )


def _where(params: LatencyParams) -> str:
    return f"during {params.during}" + "".join(f", {name}" for name in (params.cohort, params.operation) if name)


def _why(name: str, n: int, unanswered: int, params: LatencyParams, open_loop: bool, service_ns: float | None) -> str:
    start = "from the intended start" if open_loop else "from sending, since closed-loop bots have no intended times"
    parts = [f"{name} of {n} operations {_where(params)}, {start}"]
    if open_loop and service_ns is not None:
        parts.append(f"from sending it is {format_duration(service_ns)}")
    if unanswered:
        parts.append(f"{unanswered} without an answer count as at least as long as they were waited for")
    return "; ".join(parts)


CHECKER = LatencyChecker()
