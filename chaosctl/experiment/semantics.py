"""What must hold between the parts of an experiment, beyond the shape of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from chaosctl.experiment.blast import Down, downs_of, excesses, too_many
from chaosctl.experiment.complaints import Complaint, Path, mend
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.interpolate import placeholders
from chaosctl.experiment.kinds import FaultKind, FaultKinds, ObjectiveKind, ObjectiveKinds
from chaosctl.experiment.model import PROCESS_NUMBERS, Offers, Service, TimelineItem
from chaosctl.experiment.places import ALL, On, bots_link, parse_on
from chaosctl.experiment.target_rules import check_target, wrong_placeholder
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
        *_objectives(draft, objectives),
    )


def _bots_link(draft: Draft) -> Iterator[Complaint]:
    if draft.swarm is None:
        return
    through, starting = draft.swarm.through, draft.starting_at_bots
    if through is not None:
        if through not in draft.links:
            yield Complaint(("swarm", "through"), _unknown("link", through, draft.links))
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
        yield Complaint(("probe", "through"), _unknown("link", draft.probe.through, draft.links))
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
        wrong = [*_lasting(index, item, kind), *_within_load(index, item, draft), *_place(index, item, kind, draft)]
        yield from wrong
        yield from _texts(index, item, kind, draft)
        if not any(complaint.path[-1] == "on" for complaint in wrong):
            end_ns = item.at_ns + (item.for_ns or 0)
            happenings.append(_Happening(index, item, kind, parse_on(item.on), item.at_ns, end_ns))
    yield from _following(happenings)
    for one, other in combinations(happenings, 2):
        if one.contradicts(other):
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
            yield Complaint(("timeline", excess.by[-1], "on"), f"{last.fault}{others} {too_many(excess, at_most)}")


def _downs(draft: Draft, faults: FaultKinds) -> Iterator[Down]:
    for index, (item, params) in enumerate(zip(draft.items, draft.fault_params, strict=True)):
        if item is None or item.fault not in faults or any(_place(index, item, faults[item.fault], draft)):
            continue
        on, kind = parse_on(item.on), faults[item.fault]
        service = draft.services.get(on.name)
        if kind.acts_on == "service" and service is not None:
            heal_ns = None if item.for_ns is None else item.at_ns + item.for_ns
            times = (item.at_ns, heal_ns, draft.duration_ns or item.at_ns + 1)
            yield from downs_of(index, on, kind, service, times, rolling=getattr(params, "rolling", False))


def _lasting(index: int, item: TimelineItem, kind: FaultKind) -> Iterator[Complaint]:
    path: Path = ("timeline", index, "for")
    if kind.lasting == "always" and item.for_ns is None:
        yield Complaint(path[:-1], f"{kind.name} lasts until it is healed; add `for:`, such as for: 4s")
    elif kind.lasting == "never" and item.for_ns is not None:
        yield Complaint(path, f"{kind.name} happens at one moment; leave `for` out", at_key=True)
    elif item.for_ns == 0:
        yield Complaint(path, "'for' is 0, so nothing would happen; write how long it lasts, such as 4s")


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


def _texts(index: int, item: TimelineItem, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    """Yield what is wrong with the placeholders in what is completed when the deployment is up."""
    try:
        name = parse_on(item.on).name
    except ValueError:
        return
    service = draft.services.get(name)
    if service is None:
        return
    for key in sorted(kind.filled_in & item.params.keys()):
        for place, text in _leaves(item.params[key]):
            for placeholder in placeholders(text):
                if wrong := wrong_placeholder(placeholder, draft, name, service):
                    yield Complaint(("timeline", index, key, place), wrong)


def _leaves(value: Any) -> Iterator[tuple[str | int, str]]:
    """Yield the texts of a list or a mapping, each with its index or key."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else ())
    yield from ((place, text) for place, text in items if isinstance(text, str))


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


def _place(index: int, item: TimelineItem, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    path: Path = ("timeline", index, "on")
    try:
        on = parse_on(item.on)
    except ValueError as error:
        yield Complaint(path, str(error))
        return
    wrong = _wrong_link(on, kind, draft) if kind.acts_on == "link" else _wrong_service(on, kind, draft)
    if wrong:
        yield Complaint(path, wrong)


def _wrong_link(on: On, kind: FaultKind, draft: Draft) -> str | None:
    if on.name in draft.services and on.name not in draft.links:
        to_it = [name for name, link in draft.links.items() if link is not None and link.to == on.name]
        return f"{kind.name} acts on a link, '{on.name}' is a service; {_one_of(to_it or list(draft.links))}"
    if on.name not in draft.links:
        return _unknown("link", on.name, draft.links)
    if on.replicas is not None or on.role is not None or on.by_chance:
        return f"'{on.name}' is a link, which has no replicas; write '{on.name}', or '{on.name}/COHORT'"
    if on.cohort is None:
        return None
    if (bots := _used_by_bots(draft)) and on.name != bots:
        return f"the bots do not use '{on.name}', so it has no cohorts; write '{on.name}'"
    cohorts = draft.cohorts or {ALL: None}
    return None if on.cohort in cohorts else _unknown("cohort", on.cohort, cohorts)


def _wrong_service(on: On, kind: FaultKind, draft: Draft) -> str | None:
    if on.name in draft.links and on.name not in draft.services:
        link = draft.links[on.name]
        ends = [end for end in (link.to, link.from_service) if end] if link else list(draft.services)
        return f"{kind.name} acts on a service, '{on.name}' is a link; {_one_of(ends)}"
    if on.name not in draft.services:
        return _unknown("service", on.name, draft.services)
    if on.cohort is not None:
        return f"'{on.name}' is a service, which has no cohorts; write '{on.name}', or '{on.name}[0]'"
    if kind.follows is not None and (on.role is not None or on.by_chance):
        return f"a {kind.name} acts where the {kind.follows} did; write '{on.name}', or '{on.name}[0]'"
    service = draft.services[on.name]
    return None if service is None else _wrong_replicas(on, service)


def _wrong_replicas(on: On, service: Service) -> str | None:
    if on.replicas is not None and max(on.replicas) >= service.replicas:
        last = service.replicas - 1
        return f"'{on.name}' has {service.replicas} replicas, counted from 0; write at most '{on.name}[{last}]'"
    if on.count is not None and on.count > service.replicas:
        most = f"write at most 'any {service.replicas} of {on.name}', or '{on.name}'"
        return f"'{on.name}' has {service.replicas} replicas, not {on.count}; {most}"
    if on.role is not None and service.offers.status is None:
        hint = "add `offers: { status: ... }`, which prints JSON with a `role`, or name the replica"
        return f"nothing says who is {on.role} of '{on.name}': it offers no status; {hint}"
    return None


def _objectives(draft: Draft, kinds: ObjectiveKinds) -> Iterator[Complaint]:
    for name in draft.objectives:
        for need in sorted(kinds[name].needs if name in kinds else ()):
            wrong = _unmet(need, draft)
            if wrong:
                yield Complaint(("objectives", name), f"nothing measures {name}: {wrong}", at_key=True)
        if name in kinds:
            yield from _numbers(name, kinds[name], draft)


def _numbers(objective: str, kind: ObjectiveKind, draft: Draft) -> Iterator[Complaint]:
    params = draft.objectives[objective]
    for name, number in kind.numbers(params) if kind.numbers is not None and params is not None else ():
        path: Path = ("objectives", objective, name)
        service = draft.services.get(name)
        if name not in draft.services:
            yield Complaint(path, _unknown("service", name, draft.services), at_key=True)
        elif service is not None and number not in PROCESS_NUMBERS and service.offers.metrics is None:
            hint = f"add `offers: {{ metrics: ... }}` to the service, or use {', '.join(PROCESS_NUMBERS)}"
            text = f"nothing measures '{number}': '{name}' offers no metrics; {hint}"
            yield Complaint((*path, number), text, at_key=True)


def _unmet(need: str, draft: Draft) -> str | None:
    """Return what is missing for `need` (see ObjectiveKind) and the mend, or None."""
    if need == "faults":
        return None if draft.items else "the timeline has no fault; add one to `timeline`"
    if need == "probe":
        return _no_probe(draft)
    if need in Offers.model_fields:
        services = draft.services.values()
        if any(service is None or getattr(service.offers, need) is not None for service in services):
            return None
        return f"no service offers '{need}'; add `offers: {{ {need}: ... }}` to one"
    return None  # history: only the bots know whether they write one


def _no_probe(draft: Draft) -> str | None:
    name = (draft.probe.through if draft.probe else None) or _used_by_bots(draft)
    link = draft.links.get(name) if name else None
    service = draft.services.get(link.to) if link else None
    if link is None or service is None or service.probe is not None:
        return None
    return f"the probe's link '{name}' leads to '{link.to}', which declares no `probe`; add `probe:` to that service"


def _used_by_bots(draft: Draft) -> str | None:
    """Return the bots' link, or None where that is not clear (which is reported by itself)."""
    try:
        return bots_link(draft.starting_at_bots, draft.swarm.through if draft.swarm else None)
    except ValueError:
        return None


def _one_of(names: list[str]) -> str:
    return f"write {' or '.join(names)}" if names else "add one to target.links"


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    owner = "swarm" if what == "cohort" else "target"
    return f"there is no {what} '{word}'; {mend(word, known, f'add it to {owner}.{what}s')}"
