"""What must hold between the parts of an experiment, beyond the shape of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from chaosctl.experiment.blast import Down, downs_of, excesses, too_many
from chaosctl.experiment.chaos_rules import check_chaos
from chaosctl.experiment.complaints import Complaint, Path
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.fault_rules import (
    check_groups,
    check_lasting,
    check_texts,
    unknown,
    used_by_bots,
    wrong_place,
)
from chaosctl.experiment.kinds import FaultKind, FaultKinds, ObjectiveKind, ObjectiveKinds
from chaosctl.experiment.model import PROCESS_NUMBERS, Offers, TimelineItem
from chaosctl.experiment.places import ALL, On, parse_on
from chaosctl.experiment.target_rules import check_target
from chaosctl.experiment.units import format_duration


def check(draft: Draft, faults: FaultKinds, objectives: ObjectiveKinds) -> tuple[Complaint, ...]:
    """Return everything that contradicts itself or cannot be done or measured."""
    return (
        *check_target(draft),
        *_bots_link(draft),
        *_cohorts(draft),
        *_stages(draft),
        *_probe(draft),
        *_times(draft),
        *_timeline(draft, faults),
        *_blast_radius(draft, faults),
        *check_chaos(draft, faults),
        *_objectives(draft, objectives),
    )


def _bots_link(draft: Draft) -> Iterator[Complaint]:
    if draft.swarm is None:
        return
    through, starting = draft.swarm.through, draft.starting_at_bots
    if through is not None:
        if through not in draft.links:
            yield Complaint(("swarm", "through"), unknown("link", through, draft.links))
        elif draft.links[through] is not None and through not in starting:
            text = f"the link '{through}' starts at a service; leave out its `from`, or use another link"
            yield Complaint(("swarm", "through"), text)
    elif len(starting) > 1:
        text = f"{len(starting)} links start at the bots; add `through:` with one of {', '.join(starting)}"
        yield Complaint(("swarm",), text)
    elif not starting and None not in draft.links.values():
        service = next(iter(draft.services), "SERVICE")
        text = f"no link starts at the bots; add `bots-{service}: {{ to: {service} }}` to target.links"
        yield Complaint(("target", "links") if draft.links else ("target",), text)


def _cohorts(draft: Draft) -> Iterator[Complaint]:
    cohorts = [cohort for cohort in draft.cohorts.values() if cohort is not None]
    if not cohorts or len(cohorts) < len(draft.cohorts):
        return
    whole = sum(cohort.share for cohort in cohorts)
    if abs(whole - 1) > 1e-6:
        text = f"the shares of the cohorts sum to {whole * 100:.6g}%; make them sum to 100%"
        yield Complaint(("swarm", "cohorts"), text)


def _stages(draft: Draft) -> Iterator[Complaint]:
    if draft.swarm is None:
        return
    free_ns, before = draft.swarm.ramp_ns, "the ramp"
    for index, stage in enumerate(draft.swarm.stages):
        path: Path = ("swarm", "stages", index, "at")
        if stage.at_ns < free_ns:
            text = f"begins at {format_duration(stage.at_ns)}, before {before} is over at {format_duration(free_ns)}"
            yield Complaint(path, f"{text}; put the stages in order, without overlap")
        if draft.baseline_ns is not None and draft.duration_ns is not None:
            end_ns = draft.swarm.ramp_ns + draft.baseline_ns + draft.duration_ns
            if stage.at_ns >= end_ns:
                text = (
                    f"begins at {format_duration(stage.at_ns)}, after the end of the load at {format_duration(end_ns)}"
                )
                yield Complaint(path, f"{text}; begin it earlier, or make `duration` longer")
        free_ns, before = stage.at_ns + stage.over_ns, f"stage {index + 1}"


def _probe(draft: Draft) -> Iterator[Complaint]:
    if draft.probe is None:
        return
    if draft.probe.through is not None and draft.probe.through not in draft.links:
        yield Complaint(("probe", "through"), unknown("link", draft.probe.through, draft.links))
    for key, value_ns in (("every", draft.probe.every_ns), ("timeout", draft.probe.timeout_ns)):
        if value_ns == 0:
            yield Complaint(("probe", key), f"'{key}' is 0; write a time, such as 50ms")


def _times(draft: Draft) -> Iterator[Complaint]:
    if draft.duration_ns == 0:
        yield Complaint(("duration",), "the duration is 0; write how long the load goes on, such as 40s")


@dataclass(frozen=True)
class _Happening:
    """One fault that is right in itself: where and when it acts. `end_ns` equals `start_ns` for a moment."""

    index: int
    item: TimelineItem
    kind: FaultKind
    on: On
    start_ns: int
    end_ns: int

    def contradicts(self, other: _Happening) -> bool:
        """Return whether both act in one dimension on one place at one time; `end_ns` itself is free again."""
        if self.kind.dimension != other.kind.dimension or self.kind.acts_on != other.kind.acts_on:
            return False
        first, second = sorted((self, other), key=lambda happening: happening.start_ns)
        together = second.start_ns < first.end_ns or second.start_ns == first.start_ns
        return together and self.on.overlaps(other.on)


def _timeline(draft: Draft, faults: FaultKinds) -> Iterator[Complaint]:
    happenings = []
    for index, item in enumerate(draft.items):
        if item is None or item.fault not in faults:
            continue
        kind = faults[item.fault]
        path: Path = ("timeline", index)
        yield from check_lasting(path, kind, item.for_ns)
        yield from _within_load(index, item, draft)
        yield from check_texts(path, item.on, item.params, kind, draft)
        if wrong := wrong_place(item.on, kind, draft):
            yield Complaint((*path, "on"), wrong)
        else:
            yield from check_groups(path, item.on, draft.fault_params[index], kind, draft)
            end_ns = item.at_ns + (item.for_ns or 0)
            happenings.append(_Happening(index, item, kind, parse_on(item.on), item.at_ns, end_ns))
    out_of_order = list(_following(happenings))
    yield from out_of_order
    said = {complaint.path for complaint in out_of_order}
    for one, other in combinations(happenings, 2):
        if one.contradicts(other) and ("timeline", other.index) not in said:
            text = (
                f"{other.item.fault} on '{other.item.on}' acts while timeline[{one.index}] "
                f"({one.item.fault} on '{one.item.on}') does; move one of them, or end it earlier"
            )
            yield Complaint(("timeline", other.index), text)


def _blast_radius(draft: Draft, faults: FaultKinds) -> Iterator[Complaint]:
    """Yield the faults that take down more of a service at once than the experiment allows."""
    if draft.blast_radius is None:
        return
    at_most = draft.blast_radius.at_most
    for excess in excesses(_downs(draft, faults), at_most):
        last = draft.items[excess.by[-1]]
        others = "".join(f" with timeline[{index}]" for index in excess.by[:-1])
        if last is not None:
            parts = faults[last.fault].groups is not None
            text = f"{last.fault}{others} {too_many(excess, at_most, parts=parts)}"
            yield Complaint(("timeline", excess.by[-1], "on"), text)


def _downs(draft: Draft, faults: FaultKinds) -> Iterator[Down]:
    for index, (item, params) in enumerate(zip(draft.items, draft.fault_params, strict=True)):
        if item is None or item.fault not in faults or wrong_place(item.on, faults[item.fault], draft):
            continue
        on, kind = parse_on(item.on), faults[item.fault]
        service = draft.services.get(on.name)
        if kind.acts_on == "service" and service is not None:
            heal_ns = None if item.for_ns is None else item.at_ns + item.for_ns
            times = (item.at_ns, heal_ns, draft.duration_ns or item.at_ns + 1)
            yield from downs_of(index, on, kind, service, times, params)


def _following(happenings: list[_Happening]) -> Iterator[Complaint]:
    """Yield what comes after nothing that it could follow: a rollback without a deploy."""
    for one in happenings:
        if (kind := one.kind.follows) is None:
            continue
        before = [
            other
            for other in happenings
            if other.kind.name == kind and other.start_ns < one.start_ns and other.on.overlaps(one.on)
        ]
        path: Path = ("timeline", one.index)
        if not before:
            text = f"there is no {kind} on '{one.item.on}' before this {one.kind.name}; add one, or leave this out"
            yield Complaint(path, text)
        elif (last := max(before, key=lambda other: other.start_ns)).item.for_ns is not None:
            text = f"timeline[{last.index}] ({kind} on '{last.item.on}') ends by itself, after its `for`"
            yield Complaint(path, f"{text}; leave out its `for`, or this {one.kind.name}")


def _within_load(index: int, item: TimelineItem, draft: Draft) -> Iterator[Complaint]:
    if not draft.duration_ns:
        return
    end, heal_ns = format_duration(draft.duration_ns), item.at_ns + (item.for_ns or 0)
    if item.at_ns >= draft.duration_ns:
        text = f"starts at {format_duration(item.at_ns)}, when the load has ended (duration {end})"
        yield Complaint(("timeline", index, "at"), f"{text}; start it earlier, or make `duration` longer")
    elif heal_ns > draft.duration_ns:
        text = f"heals at {format_duration(heal_ns)}, when the load has ended (duration {end})"
        yield Complaint(("timeline", index, "for"), f"{text}; make it shorter, or `duration` longer")


def _objectives(draft: Draft, kinds: ObjectiveKinds) -> Iterator[Complaint]:
    for name in draft.objectives:
        for need in sorted(kinds[name].needs if name in kinds else ()):
            wrong = _unmet(need, draft)
            if wrong:
                yield Complaint(("objectives", name), f"nothing measures {name}: {wrong}", at_key=True)
        if name in kinds:
            yield from _numbers(name, kinds[name], draft)
            yield from _cohort_of(name, draft)


def _cohort_of(objective: str, draft: Draft) -> Iterator[Complaint]:
    cohort = getattr(draft.objectives[objective], "cohort", None)
    cohorts = draft.cohorts or {ALL: None}
    if cohort is not None and cohort not in cohorts:
        yield Complaint(("objectives", objective, "cohort"), unknown("cohort", cohort, cohorts))


def _numbers(objective: str, kind: ObjectiveKind, draft: Draft) -> Iterator[Complaint]:
    params = draft.objectives[objective]
    for name, number in kind.numbers(params) if kind.numbers is not None and params is not None else ():
        path: Path = ("objectives", objective, name)
        service = draft.services.get(name)
        if name not in draft.services:
            yield Complaint(path, unknown("service", name, draft.services), at_key=True)
        elif draft.driver == "external" and number in PROCESS_NUMBERS:
            text = f"nothing measures '{number}': chaosctl did not start '{name}' and does not see its processes"
            mend = "judge numbers that it offers by `offers: { metrics: ... }`"
            yield Complaint((*path, number), f"{text}; {mend}", at_key=True)
        elif service is not None and number not in PROCESS_NUMBERS and service.offers.metrics is None:
            hint = f"add `offers: {{ metrics: ... }}` to the service, or use {', '.join(PROCESS_NUMBERS)}"
            text = f"nothing measures '{number}': '{name}' offers no metrics; {hint}"
            yield Complaint((*path, number), text, at_key=True)


def _unmet(need: str, draft: Draft) -> str | None:
    """Return what is missing for `need` (see ObjectiveKind) and the mend, or None."""
    if need == "faults":
        return None if draft.items or draft.chaos_items else "the timeline has no fault; add one to `timeline`"
    if need == "deploy":
        deployed = any(item is None or item.fault == need for item in (*draft.items, *draft.chaos_items))
        return None if deployed else "the timeline deploys nothing; add `fault: deploy` to `timeline`"
    if need == "probe":
        return _no_probe(draft)
    if need == "restarts":
        wrong = "the driver is external, and chaosctl ends no service that it did not start"
        return f"{wrong}; leave it out, or use driver process or docker" if draft.driver == "external" else None
    if need in Offers.model_fields:
        services = draft.services.values()
        if any(service is None or getattr(service.offers, need) is not None for service in services):
            return None
        return f"no service offers '{need}'; add `offers: {{ {need}: ... }}` to one"
    return None  # history: only the bots know whether they write one


def _no_probe(draft: Draft) -> str | None:
    name = (draft.probe.through if draft.probe else None) or used_by_bots(draft)
    link = draft.links.get(name) if name else None
    service = draft.services.get(link.to) if link else None
    if link is None or service is None or service.probe is not None:
        return None
    return f"the probe's link '{name}' leads to '{link.to}', which declares no `probe`; add `probe:` to that service"
