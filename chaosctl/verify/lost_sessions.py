"""The `lost_sessions` objective: whose connection was cut finds the session again that it had before.

The bots journal it: a session is open, is cut, and then resumed or lost. Of one that was cut and whose bot
never said afterwards that it is resumed or lost (it did not come back, or closed it, or opened one of the same name),
nobody knows what became: inconclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.sessions import LostSession, SessionFates

_SHOWN = 10


class LostSessionsParams(ShortParams):
    """`lost_sessions: 0` is short for `lost_sessions: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many times a session may be lost")


class LostSessionsChecker:
    """One finding: how often a session was lost in the whole run, whatever cut it.

    Sessions that nothing ever cut are kept, which is what is asked for: they pass. None at all is inconclusive.
    """

    kind = ObjectiveKind(
        name="lost_sessions",
        params=LostSessionsParams,
        summary="How many sessions could not be resumed after they were cut.",
        example="lost_sessions: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: LostSessionsParams) -> Checked:
        """Return `lost_sessions`."""
        from chaosctl.verify.measure.sessions import session_fates

        fates = session_fates(recording.history())
        lost = len(fates.lost)
        if lost > params.at_most:
            status = Status.FAIL
        else:
            status = Status.PASS if fates.sessions and not fates.dangling else Status.INCONCLUSIVE
        finding = Finding(
            name="lost_sessions",
            checker="lost_sessions",
            status=status,
            op="<=",
            expected=Quantity(params.at_most, "count"),
            measured=Quantity(lost if fates.sessions else None, "count"),
            uncertainty=0.0,
            why=_why(fates),
            evidence=tuple(_evidence(one) for one in fates.lost[:_SHOWN]),
        )
        return Checked((finding,))


def _why(fates: SessionFates) -> str:
    if not fates.sessions:
        return "no session was recorded; bots journal theirs with `self.session(...)`"
    cuts = f"cut {fates.cuts} times" if fates.cuts else "never cut"
    why = f"{fates.sessions} sessions were {cuts}: {fates.resumed} times resumed, {len(fates.lost)} times lost"
    if fates.dangling:
        why += f"; {fates.dangling} were cut and no bot said if it found them again, so nobody knows"
    return why


def _evidence(one: LostSession) -> Evidence:
    cut = f", cut at {format_duration(one.cut_ns)}," if one.cut_ns is not None else ""
    return Evidence(
        "history.jsonl", f"id {one.id}", f"the session {one.key}{cut} was found lost at {format_duration(one.at_ns)}"
    )


CHECKER = LostSessionsChecker()
