"""The `read_your_writes` objective: a bot finds in a set what it had itself added and was told is there.

Stricter in time than `lost_acks`, which asks only whether it is there at the end: each of the bot's reads counts that
was asked for after the add was acknowledged. An add of unknown outcome demands nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked
from chaosctl.verify.session_finding import judge_session

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class ReadYourWritesParams(ShortParams):
    """`read_your_writes: 0` is short for `read_your_writes: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many of a bot's own elements may be missing from its reads")


class ReadYourWritesChecker:
    """One finding: how many acknowledged elements the bot that added them did not find."""

    kind = ObjectiveKind(
        name="read_your_writes",
        params=ReadYourWritesParams,
        summary="How many elements that a bot had added itself were missing when it read.",
        example="read_your_writes: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: ReadYourWritesParams) -> Checked:
        """Return `read_your_writes`; inconclusive when no bot read a set to which it had added something."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.guarantees import read_your_writes

        history = recording.history()
        kept = read_your_writes(history)
        finding = judge_session(
            "read_your_writes",
            kept,
            params.at_most,
            since="added",
            nothing="no bot read a set to which it had added something",
        )
        return Checked((despite_clock(finding, history),))


CHECKER = ReadYourWritesChecker()
