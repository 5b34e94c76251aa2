"""The `atomic` objective: an event in which several bots take part ends alike for all of them, or for none.

Looked at are all events of the run, whether a fault met them or not. An event is broken if one of its bots was told
only that it is settled and another only that it is rolled back, or if one was told an end and another that there is no
such event. Bots that were told nothing say nothing; at least one event with two bots that were is needed for a pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import History
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.flights import Events

_SHOWN = 10


class AtomicParams(ShortParams):
    """`atomic: 0` is short for `atomic: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many events may end differently for those who take part")


class AtomicChecker:
    """One finding: how many events ended differently for two of their bots."""

    kind = ObjectiveKind(
        name="atomic",
        params=AtomicParams,
        summary="How many game events ended differently for two of those who take part in them.",
        example="atomic: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: AtomicParams) -> Checked:
        """Return `atomic`."""
        from chaosctl.verify.measure.flights import events_of

        events = events_of(recording.history())
        return Checked((_finding(recording.history(), events, params.at_most),))


def _finding(history: History, events: Events, limit: int) -> Finding:
    broken, compared = int(events.half.sum()), int((events.told >= 2).sum())
    status = Status.FAIL if broken > limit else Status.PASS if compared else Status.INCONCLUSIVE
    why = f"{broken} of {compared} events of which two or more bots were told the end ended differently for two of them"
    if not compared:
        why = f"of {len(events)} events none had an end that two bots were told, so nothing could be compared"
    return Finding(
        name="atomic",
        checker="atomic",
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(broken if compared else None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(_evidence(history, key) for key in events.key[events.half][:_SHOWN].tolist()),
    )


def _evidence(history: History, key: int) -> Evidence:
    from chaosctl.verify.measure.flights import in_words, told

    lines = told(history, key)
    return Evidence("history.jsonl", f"id {lines[-1].id}", f"{history.keys[key]}, {in_words(lines)}")


CHECKER = AtomicChecker()
