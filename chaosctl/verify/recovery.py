"""The `recovery` objective: how long until players played again, per fault, as the probe through the relay saw it.

A fault's window is [inject, next fault's inject or end of the load]. Faults that overlap are judged against the last
heal among them, since only then should anything work. A probe that was open when the next fault struck, and failed,
tells about that fault, unless an outage was on already.

- detection: the first scheduled probe that is not good
- serviceable: the first of 20 consecutive scheduled probes that are all good, after the first that is not
- steady: the first stretch of `hold` from serviceable on in which what is declared holds: `p99` and `errors` of the
  operations; where neither is declared, every probe is good. The finding says which of them it went by.
- relapses: how often probes failed again, from when it was serviceable and a lasting fault healed to the window's end;
  failures with nothing good in between are one. Where probes saw nothing meanwhile, a limit that is not broken is not
  known to be kept

A limit counts from the *heal* of a lasting fault (while it lasts, an outage is what was asked for) and from the
*inject* of a fault at one moment. What was not seen before the window's end is censored, `> T`: a fail if T is over
the limit, otherwise inconclusive. Every duration is ± the probe interval and the clock's error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import DurationNs, Share, format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.aftermath import Aftermath, Took


class RecoveryParams(Params):
    """Limits, and what counts as steady."""

    serviceable_ns: DurationNs = Field(alias="serviceable", description="Players are served again within this time")
    steady_ns: DurationNs | None = Field(None, alias="steady", description="Everything is as declared within this time")
    detect_ns: DurationNs | None = Field(
        None, alias="detect", description="Users meet the first error within this time"
    )
    relapses: int | None = Field(
        None, ge=0, description="It falls over again at most so often before the next fault or the end of the load"
    )
    consecutive: int = Field(20, ge=1, le=10_000, description="So many good probes in a row count as serviceable")
    hold_ns: DurationNs = Field(2_000_000_000, alias="hold", description="Steady is what holds for so long")
    p99_ns: DurationNs | None = Field(None, alias="p99", description="Steady: 99% of operations take at most so long")
    errors: Share | None = Field(None, description="Steady: at most this share of operations goes wrong")


_SHOWN = 10
_NO_FAULT = (Status.INCONCLUSIVE, "no fault was planned, so there is nothing to recover from")


@dataclass(frozen=True)
class _Judged:
    """One fault judged against one limit."""

    fault: str
    status: Status
    took: Took | None
    why: str


class RecoveryChecker:
    """One row a fault; each finding is the worst over the faults."""

    kind = ObjectiveKind(
        name="recovery",
        params=RecoveryParams,
        summary="How long after each fault until players are served again, and until all is steady.",
        example="recovery: { serviceable: 3s, steady: 5s }",
        needs=frozenset({"probe", "faults"}),
    )

    def check(self, recording: Recording, params: RecoveryParams) -> Checked:
        """Return a finding a limit, and the table `recovery` with a `RecoveryRow` a fault."""
        from chaosctl.verify.measure.aftermath import aftermaths

        after = aftermaths(recording, params)
        limits = {"serviceable": params.serviceable_ns, "steady": params.steady_ns, "detect": params.detect_ns}
        words = {"serviceable": "serviceable", "steady": f"steady ({_steady_rule(params)})", "detect": "noticed"}
        findings = [_finding(name, words[name], limit, after) for name, limit in limits.items() if limit is not None]
        if params.relapses is not None:
            findings.append(_relapses(params.relapses, after))
        return Checked(tuple(findings), {"recovery": tuple(asdict(one.row) for one in after if one.row)})


def _steady_rule(params: RecoveryParams) -> str:
    """What counts as steady, in words: only what is declared does."""
    rules = [] if params.p99_ns is None else [f"99% of operations within {format_duration(params.p99_ns)}"]
    rules += [] if params.errors is None else [f"at most {params.errors * 100:g}% of operations wrong"]
    return f"{' and '.join(rules) or 'every probe good'} for {format_duration(params.hold_ns)}"


def _finding(name: str, words: str, limit_ns: int, after: tuple[Aftermath, ...]) -> Finding:
    judged = [_judge(name, words, limit_ns, one) for one in after]
    rank = {Status.FAIL: 2, Status.INCONCLUSIVE: 1, Status.PASS: 0}
    nothing = _Judged("", _NO_FAULT[0], None, _NO_FAULT[1])
    worst = max(
        judged, key=lambda one: (rank[one.status], one.took.seen_or_least_ns if one.took else -1), default=nothing
    )
    measured = Quantity(None, "ns")
    if worst.took is not None:
        measured = Quantity(worst.took.seen_or_least_ns, "ns", censored=worst.took.seen_ns is None)
    return Finding(
        name=f"recovery.{name}",
        checker="recovery",
        status=worst.status,
        op="<=",
        expected=Quantity(limit_ns, "ns"),
        measured=measured,
        uncertainty=float(max((one.uncertainty_ns for one in after), default=0)),
        why=worst.why,
        evidence=tuple(Evidence("samples/probe-relay.arrow", one.fault, one.why) for one in judged),
    )


def _relapses(limit: int, after: tuple[Aftermath, ...]) -> Finding:
    judged = [(_judge_relapses(limit, one), one) for one in after]
    order = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS)
    seen = [one.row.relapses for one in after if one.doubt is None and one.row and one.row.serviceable_ns is not None]
    status, why = min((said for said, _ in judged), key=lambda said: order.index(said[0]), default=_NO_FAULT)
    return Finding(
        name="recovery.relapses",
        checker="recovery",
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(max(seen, default=None), "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(line for (_, why), one in judged for line in _fell(one, why)),
    )


def _fell(after: Aftermath, why: str) -> list[Evidence]:
    """Return each time that it fell over again after one fault; where it never did, why that is what was seen."""
    times = [
        f"{after.fault}: the probe at {one.at_ns / 1e9:.3f}s failed again: {one.error or 'wrong'}"
        for one in after.relapses[:_SHOWN]
    ]
    return [Evidence("samples/probe-relay.arrow", after.fault, text) for text in times or [why]]


def _judge_relapses(limit: int, after: Aftermath) -> tuple[Status, str]:
    if after.doubt is not None or after.row is None:
        return Status.INCONCLUSIVE, after.doubt or f"{after.fault}: not measured"
    if after.row.serviceable_ns is None:
        return Status.INCONCLUSIVE, f"{after.fault}: never serviceable, so nothing could fall over again"
    why = f"{after.fault}: fell over again {after.row.relapses} times after it was serviceable"
    if after.row.relapses > limit:
        return Status.FAIL, why
    if after.unprobed:
        return Status.INCONCLUSIVE, f"{why}; {after.unprobed} probes after that saw nothing"
    return Status.PASS, why


def _judge(name: str, words: str, limit_ns: int, after: Aftermath) -> _Judged:
    took: Took | None = getattr(after, name)
    if after.doubt is not None or took is None:
        return _Judged(after.fault, Status.INCONCLUSIVE, None, after.doubt or f"{after.fault}: not measured")
    status = at_most(took.least_ns, took.seen_ns, limit_ns)
    time = format_duration(took.seen_or_least_ns)
    since = "inject" if name == "detect" else after.since
    if took.seen_ns is None:
        why = f"{after.fault}: not {words} before the window ended, so more than {time} from the {since}"
    else:
        why = f"{after.fault}: {words} {time} after the {since}"
    if status is Status.INCONCLUSIVE:
        why += "; too little was seen to tell"
    if after.row and not after.row.outages:
        why += "; no probe noticed it"
    return _Judged(after.fault, status, took, why)


CHECKER = RecoveryChecker()
