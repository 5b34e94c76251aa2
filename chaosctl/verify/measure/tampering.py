"""What replays of logs that were tampered with say of the recording: whether its digests cover every input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaosctl.verify.contract import Evidence, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording


@dataclass(frozen=True)
class Isolation:
    """Whether changed inputs were noticed. `noticed`: in how many trials."""

    status: Status
    why: str
    noticed: int
    evidence: tuple[Evidence, ...]


def isolation(recording: Recording, wanted: int, *, plain_parted: bool) -> Isolation:
    """Judge the events `tampered` of a run in which `wanted` changes were to be tried.

    The change 0 is none: the log was only written anew. Where that is noticed, or plain replays part, no difference
    says anything.
    """
    tried = {int(one.fields["trial"]): one for one in recording.events_named("tampered")}
    untouched = tried.pop(0, None)
    noticed = [one for one in tried.values() if one.fields.get("noticed") is True]
    missed = [one for one in tried.values() if one.fields.get("noticed") is False]
    unknown = [one for one in tried.values() if one.fields.get("noticed") is None]
    evidence = tuple(map(_evidence, [*missed, *unknown, *noticed]))
    status, why = _judged(wanted, untouched, missed, unknown, len(noticed), plain_parted=plain_parted)
    return Isolation(status, why, len(noticed), evidence)


def _judged(
    wanted: int,
    untouched: Event | None,
    missed: Sequence[Event],
    unknown: Sequence[Event],
    noticed: int,
    *,
    plain_parted: bool,
) -> tuple[Status, str]:
    if untouched is None:
        return Status.INCONCLUSIVE, "not tested: because it is not recorded that it was tried"
    if missed:
        first = missed[0].fields
        why = (
            f"of the recording itself: its digests do not cover {first.get('text')} in tick {first.get('tick')}; "
            f"{len(missed)} of {wanted} changed logs have the same digest at every tick"
        )
        return Status.FAIL, why
    if untouched.fields.get("noticed") is None:
        return Status.INCONCLUSIVE, f"not tested: because {untouched.fields.get('how')}"
    if plain_parted:
        return Status.INCONCLUSIVE, "not tested: because replays part already without it"
    if untouched.fields.get("noticed"):
        how = untouched.fields.get("how")
        return (
            Status.INCONCLUSIVE,
            f"not tested: because the log written anew, without a change, is not the same: {how}",
        )
    if noticed < wanted:
        reasons = "; ".join(dict.fromkeys(str(one.fields.get("how")) for one in unknown))
        return Status.INCONCLUSIVE, f"not tested: because {noticed} of {wanted} changes were tried {reasons}".rstrip()
    return (
        Status.PASS,
        f"{noticed} changed logs, each with one input dropped, swapped, duplicated or altered, are noticed",
    )


def _evidence(event: Event) -> Evidence:
    fields = event.fields
    text = f"trial {fields.get('trial')}, tick {fields.get('tick')}: {fields.get('text')}: {fields.get('how')}"
    return Evidence("events.jsonl", f"at_ns {event.at_ns}", text)
