"""The `exactly_once` objective: what was added once is there once, however often its request was sent.

An element is what an idempotency key names. A service that applies a resent request again holds the element twice, and
a read that lists it twice ("1-3,2") shows it. An add of unknown outcome may be there once or not at all; both are fine.
Whether it is there at all is the business of `lost_acks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.repeats import Repeats

_SHOWN = 10


class ExactlyOnceParams(ShortParams):
    """`exactly_once: 0` is short for `exactly_once: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many operations may have taken effect more than once")


class ExactlyOnceChecker:
    """One finding: how many elements are listed more than once by a read of their set."""

    kind = ObjectiveKind(
        name="exactly_once",
        params=ExactlyOnceParams,
        summary="How many operations took effect more than once.",
        example="exactly_once: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: ExactlyOnceParams) -> Checked:
        """Return `exactly_once`; inconclusive when nothing was read, or adds were acknowledged after the last read."""
        from chaosctl.verify.measure.repeats import repeats
        from chaosctl.verify.measure.sets import read_back

        history = recording.history()
        found = repeats(history)
        return Checked((_judge(found, read_back(history).unseen, params.at_most),))


def _judge(found: Repeats, unseen: int, limit: int) -> Finding:
    unknown = unseen > 0 or found.listed == 0
    status = Status.FAIL if found.count > limit else Status.INCONCLUSIVE if unknown else Status.PASS
    why = f"{found.count} of the {found.listed} elements that were read are there more than once"
    if not found.listed:
        why = "no read listed an element, so nothing can have been there twice"
    if unseen:
        why += f"; {unseen} acknowledged adds were never read back, so nobody knows"
    return Finding(
        name="exactly_once",
        checker="exactly_once",
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(found.count if found.listed else None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(
            Evidence(
                "history.jsonl",
                f"id {one.read_id}",
                f"{one.element} is in {one.key} more than once, as read at {format_duration(one.at_ns)}",
            )
            for one in found.first[:_SHOWN]
        ),
    )


CHECKER = ExactlyOnceChecker()
