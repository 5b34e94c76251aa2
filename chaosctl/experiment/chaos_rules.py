"""What must hold of faults that come by chance, so that a schedule can be drawn from any seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chaosctl.experiment.blast import downs_of, excesses, too_many
from chaosctl.experiment.complaints import Complaint, Path
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.fault_rules import check_groups, check_lasting, check_texts, wrong_place
from chaosctl.experiment.kinds import FaultKind, FaultKinds
from chaosctl.experiment.model import Chaos, ChaosFault
from chaosctl.experiment.places import parse_on
from chaosctl.experiment.units import format_duration


def check_chaos(draft: Draft, faults: FaultKinds) -> Iterator[Complaint]:
    """Yield what is wrong with the experiment's `chaos`."""
    if draft.chaos is not None:
        yield from _times(draft.chaos, draft)
    for index, (item, params) in enumerate(zip(draft.chaos_items, draft.chaos_params, strict=True)):
        if item is not None and item.fault in faults:
            yield from _fault(("chaos", "faults", index), item, params, faults[item.fault], draft)


def _times(chaos: Chaos, draft: Draft) -> Iterator[Complaint]:
    if draft.duration_ns and chaos.until_ns is not None and chaos.until_ns > draft.duration_ns:
        text = f"ends at {format_duration(chaos.until_ns)}, when the load has ended"
        mend = f"(duration {format_duration(draft.duration_ns)}); end it earlier, or make `duration` longer"
        yield Complaint(("chaos", "until"), f"{text} {mend}")
    until_ns = end_of(chaos, draft.duration_ns)
    if until_ns is not None and chaos.from_ns >= until_ns:
        text = f"begins at {format_duration(chaos.from_ns)}, and is over at {format_duration(until_ns)}"
        yield Complaint(("chaos",), f"{text}; make `from` earlier, or `until` later")


def end_of(chaos: Chaos, duration_ns: int | None) -> int | None:
    """Return when the last of the faults is over, from the end of the baseline on; None if that is not known."""
    return duration_ns if chaos.until_ns is None else chaos.until_ns


def _fault(path: Path, item: ChaosFault, params: Any, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    if kind.follows is not None:
        text = f"{kind.name} comes after a {kind.follows}, never by chance; put it into `timeline`, or leave it out"
        yield Complaint((*path, "fault"), text)
        return
    yield from check_lasting(path, kind, item.for_ns)
    yield from check_texts(path, item.on, item.params, kind, draft)
    if wrong := wrong_place(item.on, kind, draft):
        yield Complaint((*path, "on"), wrong)
        return
    yield from check_groups(path, item.on, params, kind, draft)
    yield from _comes_back(path, item, kind, draft)
    yield from _fits(path, item, draft)
    yield from _blast_radius(path, item, params, kind, draft)


def _comes_back(path: Path, item: ChaosFault, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    """Yield a fault after which nothing would be as before: the next one needs something to act on."""
    if item.for_ns is not None or kind.lasting == "always" or (kind.lasting == "never" and kind.takes_down != "while"):
        return
    service = draft.services.get(parse_on(item.on).name)
    if kind.takes_down == "while" and (service is None or service.restart is not None):
        return
    mends = ["`for:`, such as for: 4s"] if kind.lasting == "optional" else []
    mends += ["`restart:` to the service"] if kind.takes_down == "while" else []
    yield Complaint(path, f"nothing undoes {kind.name} on '{item.on}'; add {', or '.join(mends)}")


def _fits(path: Path, item: ChaosFault, draft: Draft) -> Iterator[Complaint]:
    if draft.chaos is None or item.for_ns is None:
        return
    until_ns = end_of(draft.chaos, draft.duration_ns)
    if until_ns is not None and draft.chaos.from_ns < until_ns < draft.chaos.from_ns + item.for_ns:
        long = format_duration(until_ns - draft.chaos.from_ns)
        text = f"lasts {format_duration(item.for_ns)}, longer than the chaos ({long}); make it shorter"
        yield Complaint((*path, "for"), f"{text}, or `until` later")


def _blast_radius(path: Path, item: ChaosFault, params: Any, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    on = parse_on(item.on)
    service = draft.services.get(on.name)
    if draft.blast_radius is None or kind.acts_on != "service" or service is None:
        return
    times = (0, item.for_ns, draft.duration_ns or 1)
    downs = downs_of(0, on, kind, service, times, params)
    for excess in excesses(downs, draft.blast_radius.at_most):
        text = too_many(excess, draft.blast_radius.at_most, parts=kind.groups is not None)
        yield Complaint((*path, "on"), f"{item.fault} {text}")
