"""The `total_order` objective: everybody gets what was sent into a stream once, and in one order.

Bots `send` elements into streams and `receive` them (see the vocabulary in `recording/model.py`). A send of unknown
outcome may be received or not; what a receiver got before its first and after its last element is not held against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.streams import Kind, Odd, Streams

_SHOWN = 10


class TotalOrderParams(ShortParams):
    """`total_order: 0` is short for `total_order: { at_most: 0 }`."""

    at_most: int = Field(
        0, ge=0, description="So many elements of each kind may be lost, doubled, out of order, unsent"
    )


class TotalOrderChecker:
    """Four findings: elements of streams that were lost, doubled, received out of order, and never sent."""

    kind = ObjectiveKind(
        name="total_order",
        params=TotalOrderParams,
        summary="How many elements of a stream were lost, received twice, out of order, or never sent.",
        example="total_order: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: TotalOrderParams) -> Checked:
        """Return `total_order.lost`, `.duplicated`, `.reordered`, `.phantoms`; inconclusive when nothing was got."""
        from chaosctl.verify.measure.clocks import despite_clock
        from chaosctl.verify.measure.streams import streams

        history = recording.history()
        seen = streams(history)
        findings = (
            _lost(seen, params.at_most),
            _finding("duplicated", seen.duplicated, params.at_most, "elements reached a receiver more than once"),
            _finding("reordered", seen.reordered, params.at_most, "elements came after one that should follow them"),
            _finding("phantoms", seen.phantoms, params.at_most, "elements were received that nobody had sent"),
        )
        return Checked(tuple(despite_clock(finding, history) for finding in findings))


def _lost(seen: Streams, limit: int) -> Finding:
    return _finding("lost", seen.lost, limit, f"of {seen.acknowledged} acknowledged elements are missing", seen.unseen)


def _finding(name: str, kind: Kind, limit: int, said: str, unseen: int = 0) -> Finding:
    status = Status.FAIL if kind.count > limit else Status.PASS if kind.judged and not unseen else Status.INCONCLUSIVE
    why = f"{kind.count} {said}"
    if not kind.judged:
        why = "nothing was received that could tell"
    if unseen:
        why += f"; {unseen} acknowledged elements reached nobody, and nothing sent later did, so nobody knows"
    return Finding(
        name=f"total_order.{name}",
        checker="total_order",
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(kind.count if kind.judged else None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(_evidence(name, one) for one in kind.first[:_SHOWN]),
    )


def _evidence(name: str, odd: Odd) -> Evidence:
    element = f"{odd.element} of {odd.key}"
    words = {
        "lost": f"{element} was sent and reached {f'others, but not {odd.receiver}' if odd.receiver else 'nobody'}",
        "duplicated": f"{odd.receiver} received {element} again",
        "reordered": f"{odd.receiver} received {element} after {odd.after}, which should follow it",
        "phantoms": f"{odd.receiver} received {element}, which nobody had sent",
    }
    return Evidence("history.jsonl", f"id {odd.id}", words[name])


CHECKER = TotalOrderChecker()
