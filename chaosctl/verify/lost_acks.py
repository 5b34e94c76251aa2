"""The `lost_acks` objective: what was acknowledged must be found by whoever reads afterwards.

The set model of Jepsen's set-full checker: elements are added to sets, and sets are read back. An element of a key is
lost if its add was acknowledged before the key's last answered read was asked for, and the answer lacks it. An add of
unknown outcome is neither lost nor extra. An element that no later read covers is *unseen*: inconclusive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import format_duration
from chaosctl.recording.facts import fault_facts
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.sets import Lost, Phantom, SetsReadBack

_SHOWN = 10


class LostAcksParams(ShortParams):
    """`lost_acks: 0` is short for `lost_acks: { at_most: 0 }`."""

    at_most: int = Field(0, ge=0, description="So many acknowledged operations may be lost")


class LostAcksChecker:
    """Two findings: what was acknowledged and is gone, and what was read and was never asked for."""

    kind = ObjectiveKind(
        name="lost_acks",
        params=LostAcksParams,
        summary="How many acknowledged operations were not found afterwards.",
        example="lost_acks: 0",
        needs=frozenset({"history"}),
        shorthand={"type": "integer", "minimum": 0},
    )

    def check(self, recording: Recording, params: LostAcksParams) -> Checked:
        """Return `lost_acks` and `lost_acks.phantoms`."""
        from chaosctl.verify.measure.sets import read_back

        sets = read_back(recording.history())
        return Checked((_lost(recording, sets, params.at_most), _phantoms(sets)))


def _lost(recording: Recording, sets: SetsReadBack, limit: int) -> Finding:
    count = sets.lost_count
    if count > limit:
        status = Status.FAIL
    else:
        status = Status.INCONCLUSIVE if sets.acknowledged == 0 or sets.unseen else Status.PASS
    why = f"{count} of {sets.acknowledged} acknowledged adds are missing from the last read of their key"
    if sets.acknowledged == 0:
        why = "no add was acknowledged, so nothing can have been lost"
    elif sets.lost:
        why += f"; {_age(recording, sets.lost[0].acked_ns)}"
    if sets.unseen:
        why += f"; {sets.unseen} acknowledged adds were never read back, so nobody knows"
    return Finding(
        name="lost_acks",
        checker="lost_acks",
        status=status,
        op="<=",
        expected=Quantity(limit, "count"),
        measured=Quantity(count if sets.acknowledged else None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(_gone(one) for one in sets.lost[:_SHOWN]),
    )


def _age(recording: Recording, acked_ns: int) -> str:
    """How long the oldest lost one had been acknowledged when the next fault on a service (or else any) struck."""
    later = [fault for fault in fault_facts(recording) if fault.called_ns is not None and fault.called_ns >= acked_ns]
    later.sort(key=lambda fault: (fault.acts_on != "service", fault.called_ns))
    if not later or later[0].called_ns is None:
        return f"the oldest was acknowledged at {format_duration(acked_ns)}"
    return f"the oldest was acknowledged {format_duration(later[0].called_ns - acked_ns)} before {later[0].id}"


def _gone(lost: Lost) -> Evidence:
    text = (
        f"{lost.bot} added {lost.element} to {lost.key}, acknowledged at {format_duration(lost.acked_ns)}; "
        f"the read {lost.read_id} at {format_duration(lost.read_ns)} lacks it"
    )
    return Evidence("history.jsonl", f"id {lost.id}", text)


def _phantoms(sets: SetsReadBack) -> Finding:
    count = sets.phantom_count
    nothing_read = sets.keys_read == 0
    return Finding(
        name="lost_acks.phantoms",
        checker="lost_acks",
        status=Status.FAIL if count else Status.INCONCLUSIVE if nothing_read else Status.PASS,
        op="<=",
        expected=Quantity(0, "count"),
        measured=Quantity(None if nothing_read else count, "count"),
        uncertainty=0.0,
        why="no set was read" if nothing_read else f"{count} elements were read that nobody had tried to add",
        evidence=tuple(_extra(one) for one in sets.phantoms[:_SHOWN]),
    )


def _extra(phantom: Phantom) -> Evidence:
    return Evidence("history.jsonl", f"id {phantom.read_id}", f"{phantom.element} is in {phantom.key}; nobody added it")


CHECKER = LostAcksChecker()
