"""The `monotonic_writes` objective: who finds what a bot wrote finds what it had written before.

A replica that took a bot's later add and not its earlier one shows the two in the wrong order. Earlier is: acknowledged
before the later one was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked
from chaosctl.verify.session_finding import judge_order

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class MonotonicWritesParams(ShortParams):
    """`monotonic_writes: 0` is short for `monotonic_writes: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many elements may be missing behind a later one of the same bot")


class MonotonicWritesChecker:
    """One finding: how many elements were missing from a read that had a later one of the same bot."""

    kind = ObjectiveKind(
        name="monotonic_writes",
        params=MonotonicWritesParams,
        summary="How many elements were missing from a read that had what the same bot wrote later.",
        example="monotonic_writes: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: MonotonicWritesParams) -> Checked:
        """Return `monotonic_writes`; inconclusive when no read had an add that its bot made after another one."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.writes import monotonic_writes

        history = recording.history()
        finding = judge_order(
            "monotonic_writes",
            monotonic_writes(history),
            params.at_most,
            before="added",
            nothing="no read had what a bot added after another add of its own",
        )
        return Checked((despite_clock(finding, history),))


CHECKER = MonotonicWritesChecker()
