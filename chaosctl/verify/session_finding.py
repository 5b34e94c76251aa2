"""What the session guarantees have in common: one finding from what was missing in reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaosctl.experiment.units import format_duration
from chaosctl.verify.contract import Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.verify.measure.guarantees import Kept, Missing
    from chaosctl.verify.measure.writes import Followed, OutOfOrder

_SHOWN = 10


def judge_session(name: str, kept: Kept, limit: int, *, since: str, nothing: str) -> Finding:
    """Return the finding of one guarantee.

    `since` is what the bot had done with the element (`read`, `added`); `nothing` says why nothing could be judged.
    """
    status = Status.FAIL if kept.count > limit else Status.PASS if kept.judged else Status.INCONCLUSIVE
    why = f"{kept.count} elements that a bot had {since} were missing from its {kept.judged} later reads"
    return Finding(
        name=name,
        checker=name,
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(kept.count if kept.judged else None, "count"),
        uncertainty=0.0,
        why=why if kept.judged else nothing,
        evidence=tuple(_evidence(one, since) for one in kept.first[:_SHOWN]),
    )


def _evidence(one: Missing, since: str) -> Evidence:
    text = (
        f"{one.bot} had {since} {one.element} in {one.key} by {format_duration(one.since_ns)} (id {one.since_id}); "
        f"its read {one.read_id} asked for at {format_duration(one.asked_ns)} lacks it"
    )
    return Evidence("history.jsonl", f"id {one.read_id}", text)


def judge_order(name: str, followed: Followed, limit: int, *, before: str, nothing: str) -> Finding:
    """Return the finding of a guarantee about what shows together.

    `before` is what the bot had done with the earlier element (`read`, `added`); `nothing` says why nothing could be
    judged.
    """
    count = followed.count
    status = Status.FAIL if count > limit else Status.PASS if followed.judged else Status.INCONCLUSIVE
    why = f"{count} elements that a bot had {before} were missing from reads that had what it added later"
    return Finding(
        name=name,
        checker=name,
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(count if followed.judged else None, "count"),
        uncertainty=0.0,
        why=f"{why}; {followed.judged} reads had such" if followed.judged else nothing,
        evidence=tuple(_order(one, before) for one in followed.first[:_SHOWN]),
    )


def _order(one: OutOfOrder, before: str) -> Evidence:
    text = (
        f"{one.bot} had {before} {one.earlier} in {one.key} by {format_duration(one.earlier_ns)} "
        f"(add {one.earlier_id}) and then added {one.later} from {format_duration(one.later_ns)} on "
        f"(add {one.later_id}); the read {one.read_id} of {one.reader} asked for at "
        f"{format_duration(one.asked_ns)} has {one.later} and lacks {one.earlier}"
    )
    return Evidence("history.jsonl", f"id {one.read_id}", text)
