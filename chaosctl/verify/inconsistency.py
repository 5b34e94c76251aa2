"""The `inconsistency` objective: for how long, at most, reads lacked something acknowledged that later reads had again.

Such a read is stale: it was answered by a replica that lagged behind. What no later read has is lost, and the business
of `lost_acks`; but where it was missing for longer than the limit when it was last looked for, it may also have been
late, and nobody knows. A time in which nobody read is one in which nobody can tell, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.freshness import Stale, Staleness


class InconsistencyParams(ShortParams):
    """`inconsistency: 2s` is short for `inconsistency: { at_most: 2s }`."""

    at_most_ns: DurationNs = Field(alias="at_most", description="What was acknowledged may be missing for so long")


class InconsistencyChecker:
    """One finding: the longest time for which one element was missing; ± comes from the time between reads."""

    kind = ObjectiveKind(
        name="inconsistency",
        params=InconsistencyParams,
        summary="For how long something acknowledged was missing from reads before it was there again.",
        example="inconsistency: 2s",
        needs=frozenset({"history"}),
        shorthand={"type": "string"},
    )

    def check(self, recording: Recording, params: InconsistencyParams) -> Checked:
        """Return `inconsistency`; inconclusive when sets were read too seldom to see a window of that length."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.freshness import staleness

        history = recording.history()
        return Checked((despite_clock(_finding(staleness(history), params.at_most_ns), history),))


def _finding(seen: Staleness, limit_ns: int) -> Finding:
    longest = seen.longest
    most_ns = longest.found_ns - longest.from_ns if longest else 0
    surely_ns = longest.last_ns - longest.first_ns if longest else 0
    possible_ns = max(most_ns, seen.blind_ns, seen.open_ns)
    status = at_most(seen.least_ns, possible_ns, limit_ns) if seen.judged else Status.INCONCLUSIVE
    why = f"{seen.elements} acknowledged elements were missing from reads and there again later"
    if longest:
        why += f", {longest.element} of {longest.key} for {format_duration(surely_ns)} to {format_duration(most_ns)}"
    if seen.blind_ns > limit_ns:
        why += f"; for {format_duration(seen.blind_ns)} nobody read {seen.blind_key}, so nobody knows"
    if seen.open_ns > limit_ns:
        why += f"; up to the last read of {seen.open_key} something was missing from it, for up to "
        why += f"{format_duration(seen.open_ns)}: whether it was late or is lost nobody knows"
    return Finding(
        name="inconsistency",
        checker="inconsistency",
        status=status,
        op="<=",
        expected=Quantity(limit_ns, "ns"),
        measured=Quantity(most_ns if seen.judged else None, "ns"),
        uncertainty=float(most_ns - surely_ns if longest else seen.blind_ns),
        why=why if seen.judged else "no set was read to which something had been added",
        evidence=_evidence(longest) if longest else (),
    )


def _evidence(stale: Stale) -> tuple[Evidence, ...]:
    facts = (
        (stale.first_id, stale.first_ns, f"lacks {stale.element}, which was there by {format_duration(stale.from_ns)}"),
        (stale.last_id, stale.last_ns, f"is the last one that lacks {stale.element}"),
        (stale.found_id, stale.found_ns, f"has {stale.element} again"),
    )
    return tuple(
        Evidence("history.jsonl", f"id {id}", f"the read of {stale.key} asked for at {format_duration(at_ns)} {fact}")
        for id, at_ns, fact in facts
    )


CHECKER = InconsistencyChecker()
