"""The `writes_follow_reads` objective: who finds what a bot wrote finds what it had read before.

A bot writes in answer to what it saw: a replica that shows the answer without what it answers breaks the order. Both
are of one set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked
from chaosctl.verify.session_finding import judge_order

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class WritesFollowReadsParams(ShortParams):
    """`writes_follow_reads: 0` is short for `writes_follow_reads: { at_most: 0 }`."""

    at_most: int = Field(
        0, ge=0, description="So many elements may be missing behind what a bot wrote after it had read them"
    )


class WritesFollowReadsChecker:
    """One finding: how many elements were missing from a read that had what a bot wrote after it had seen them."""

    kind = ObjectiveKind(
        name="writes_follow_reads",
        params=WritesFollowReadsParams,
        summary="How many elements were missing from a read that had what a bot wrote after reading them.",
        example="writes_follow_reads: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: WritesFollowReadsParams) -> Checked:
        """Return `writes_follow_reads`; inconclusive when no read had an add that its bot made after a read."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.writes import writes_follow_reads

        history = recording.history()
        finding = judge_order(
            "writes_follow_reads",
            writes_follow_reads(history),
            params.at_most,
            before="read",
            nothing="no read had what a bot added after it had read something",
        )
        return Checked((despite_clock(finding, history),))


CHECKER = WritesFollowReadsChecker()
