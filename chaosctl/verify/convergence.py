"""The `convergence` objective: how long after the last fault until every read is complete, and stays so.

Complete is a read that has everything which had been acknowledged before it was asked for, whoever asks. Without a
fault, the time is from the last acknowledgement on. What never becomes complete is more than what was seen (`> T`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.recording.facts import all_over_ns
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.freshness import Settled

_SHOWN = 10
_NEVER_OVER = "a fault was never over"


class ConvergenceParams(ShortParams):
    """`convergence: 5s` is short for `convergence: { within: 5s }`."""

    stands_alone = "within"

    within_ns: DurationNs = Field(alias="within", description="Every read is complete so long after the last fault")


class ConvergenceChecker:
    """One finding: the time to convergence of the set that took longest; ± is the time between two of its reads."""

    kind = ObjectiveKind(
        name="convergence",
        params=ConvergenceParams,
        summary="How long after the last fault until every read has everything that was acknowledged.",
        example="convergence: 5s",
        needs=frozenset({"history"}),
        shorthand={"type": "string"},
    )

    def check(self, recording: Recording, params: ConvergenceParams) -> Checked:
        """Return `convergence`; inconclusive when a set was not read late enough, or a fault was never over."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.freshness import last_acknowledged_ns, settled

        history = recording.history()
        over_ns = all_over_ns(recording)
        if math.isinf(over_ns):
            return Checked((_finding(params.within_ns, [], 0, _NEVER_OVER),))
        from_ns = int(over_ns) or last_acknowledged_ns(history)
        since = "the last fault was over" if over_ns else "the last add was acknowledged"
        finding = _finding(params.within_ns, settled(history, from_ns), from_ns, since)
        return Checked((despite_clock(finding, history),))


def _finding(limit_ns: int, sets: list[Settled], from_ns: int, since: str) -> Finding:
    judged = [(_status(one, from_ns, limit_ns), one) for one in sets]
    rank = {Status.FAIL: 2, Status.INCONCLUSIVE: 1, Status.PASS: 0}
    judged.sort(key=lambda pair: (rank[pair[0]], _took_ns(pair[1], from_ns)), reverse=True)
    status, worst = judged[0] if judged else (Status.INCONCLUSIVE, None)
    measured, uncertainty = Quantity(None, "ns"), 0.0
    if worst is not None and worst.reads:
        measured = Quantity(_took_ns(worst, from_ns), "ns", censored=worst.seen_ns is None)
        uncertainty = 0.0 if worst.seen_ns is None else float(worst.seen_ns - worst.least_ns)
    return Finding(
        name="convergence",
        checker="convergence",
        status=status,
        op="<=",
        expected=Quantity(limit_ns, "ns"),
        measured=measured,
        uncertainty=uncertainty,
        why=_why(worst, status, len(sets), from_ns, since),
        evidence=tuple(_behind(one) for _, one in judged if one.behind_id is not None)[:_SHOWN],
    )


def _status(one: Settled, from_ns: int, limit_ns: int) -> Status:
    seen_ns = None if one.seen_ns is None else one.seen_ns - from_ns
    return at_most(one.least_ns - from_ns, seen_ns, limit_ns)


def _took_ns(one: Settled, from_ns: int) -> int:
    return (one.least_ns if one.seen_ns is None else one.seen_ns) - from_ns


def _why(worst: Settled | None, status: Status, sets: int, from_ns: int, since: str) -> str:
    if worst is None:
        return f"nothing can be said about convergence: {since if since == _NEVER_OVER else 'nothing was added'}"
    if not worst.reads:
        return f"{worst.key} was not read after {since}"
    took = format_duration(_took_ns(worst, from_ns))
    if worst.seen_ns is None:
        return f"{worst.key} was still behind {took} after {since}, and was not seen to be complete later"
    why = f"all reads of {sets} sets asked for {took} or more after {since} are complete; {worst.key} took longest"
    return why if status is not Status.INCONCLUSIVE else f"{why}, and was not read often enough to tell"


def _behind(one: Settled) -> Evidence:
    text = (
        f"the read {one.behind_id} of {one.key} asked for at {format_duration(one.least_ns)} lacks {one.element}, "
        "which had been acknowledged or shown before"
    )
    return Evidence("history.jsonl", f"id {one.behind_id}", text)


CHECKER = ConvergenceChecker()
