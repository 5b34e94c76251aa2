"""The `monotonic_reads` objective: what a bot has once read from a set, its later reads of that set contain too.

A bot that is moved to a replica which lags behind sees the past again. A later read is one that was asked for after
the earlier one was answered; reads that overlap may be answered in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked
from chaosctl.verify.session_finding import judge_session

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class MonotonicReadsParams(ShortParams):
    """`monotonic_reads: 0` is short for `monotonic_reads: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many elements may be missing from a later read")


class MonotonicReadsChecker:
    """One finding: how many elements a bot had read, and did not find when it read again."""

    kind = ObjectiveKind(
        name="monotonic_reads",
        params=MonotonicReadsParams,
        summary="How many elements that a bot had read were missing when it read again.",
        example="monotonic_reads: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: MonotonicReadsParams) -> Checked:
        """Return `monotonic_reads`; inconclusive when no bot read a set again that had something in it."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.guarantees import monotonic_reads

        history = recording.history()
        kept = monotonic_reads(history)
        finding = judge_session(
            "monotonic_reads",
            kept,
            params.at_most,
            since="read",
            nothing="no bot read a set again that had something in it",
        )
        return Checked((despite_clock(finding, history),))


CHECKER = MonotonicReadsChecker()
