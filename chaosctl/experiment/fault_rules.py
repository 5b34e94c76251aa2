"""What must hold of each fault by itself, in the timeline or by chance: its place, its length, its texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chaosctl.experiment.complaints import Complaint, Path, mend
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.interpolate import placeholders
from chaosctl.experiment.kinds import FaultKind
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import ALL, On, bots_link, parse_on
from chaosctl.experiment.target_rules import wrong_placeholder

# Why a fault cannot act on a process, by what that shares with this machine; and what can be done.
_SHARED = {
    "network": "only containers have a network of their own, processes share this machine's",
    "memory": "only containers have a bound on all of their memory, a process's counts where it was when it took it",
}
_INSTEAD = {
    "network": "a fault on a link, such as partition, latency or bandwidth",
    "memory": "another fault, such as kill or fill_fds",
}


def check_lasting(item: Path, kind: FaultKind, for_ns: int | None) -> Iterator[Complaint]:
    """Yield what is wrong with the `for:` of the fault at `item`, or with its absence."""
    path: Path = (*item, "for")
    if kind.lasting == "always" and for_ns is None:
        yield Complaint(path[:-1], f"{kind.name} lasts until it is healed; add `for:`, such as for: 4s")
    elif kind.lasting == "never" and for_ns is not None:
        yield Complaint(path, f"{kind.name} happens at one moment; leave `for` out", at_key=True)
    elif for_ns == 0:
        yield Complaint(path, "'for' is 0, so nothing would happen; write how long it lasts, such as 4s")


def _check_relay(item: Path, on: str, params: Mapping[str, Any], kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    """Yield why the fault cannot act on a link that no relay carries: one between services of a project that is
    attached to."""
    link = draft.links.get(on.strip())
    if not draft.is_attached or kind.acts_on != "link" or link is None or link.from_service is None:
        return
    where = f"'{on.strip()}' has no relay, for nothing of a project that is attached to is made anew"
    if kind.without_relay is None:
        yield Complaint((*item, "fault"), f"{where}; partition cuts it all the same, or leave `attach` out")
    for key, can_be in (kind.without_relay or {}).items():
        if key in params and params[key] not in can_be:
            known = " or ".join(sorted(map(str, can_be)))
            yield Complaint((*item, key), f"{where}, so it cannot be {params[key]}; write {known}")


def check_texts(item: Path, on: str, params: Mapping[str, Any], kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    """Yield what is wrong with the placeholders in what is completed when the deployment is up, and what is said of
    containers or relays where there are none."""
    yield from _check_relay(item, on, params, kind, draft)
    yield from _check_containers(item, params, kind, draft)
    try:
        name = parse_on(on).name
    except ValueError:
        return
    service = draft.services.get(name)
    if service is None:
        return
    if lacks := _lacks(name, service, kind, draft.driver):
        yield Complaint((*item, "fault"), lacks)
    for key in sorted(kind.ports & params.keys()):
        if isinstance(params[key], str) and params[key] not in service.ports:
            known = mend(params[key], service.ports, f"add `ports: [{params[key]}]` to it")
            yield Complaint((*item, key), f"'{name}' has no port '{params[key]}'; {known}")
    for key in sorted(kind.filled_in & params.keys()):
        for place, text in _leaves(params[key]):
            for placeholder in placeholders(text):
                if wrong := wrong_placeholder(placeholder, draft, name, service):
                    yield Complaint((*item, key, place), wrong)


def check_groups(item: Path, on: str, params: Any, kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    """Yield what is wrong with whom a fault parts from whom; its `on:` is right, and so are its parameters by
    themselves."""
    if kind.groups is None or params is None:
        return
    place, named = parse_on(on), tuple(kind.groups.named(params, parse_on(on).name))
    if place.role is not None:
        text = f"{kind.name} parts all replicas that it acts on; write `on: {place.name}, isolate: {place.role}`"
        yield Complaint((*item, "on"), text)
    for path, text in named:
        if wrong := wrong_place(text, kind, draft):
            yield Complaint((*item, *path), wrong)
        elif path[0] == "groups" and parse_on(text).by_chance:
            mend_text = f"name replicas, such as '{parse_on(text).name}[0]', or write isolate or shape instead"
            yield Complaint((*item, *path), f"chance does not decide who is in a group; {mend_text}")
    service = draft.services.get(place.name)
    if service is not None and (wrong := kind.groups.wrong(params, place.name, place.at_most(service.replicas))):
        yield Complaint((*item, "on"), wrong)


def _lacks(name: str, service: Service, kind: FaultKind, driver: str) -> str | None:
    """Return what the service lacks for this kind of fault, with the mend."""
    # With compose, the policy may be that of the file.
    if kind.needs_restart and service.restart is None and driver != "compose":
        return f"{kind.name} leaves it to the restart policy, and '{name}' has none; add `restart:` to it, or use kill"
    if kind.needs_disk and service.disk_bytes is None:
        return f"{kind.name} acts on a disk of the service's own, and '{name}' has none; add `disk: 64MiB` to it"
    return None


def _check_containers(item: Path, params: Mapping[str, Any], kind: FaultKind, draft: Draft) -> Iterator[Complaint]:
    for key in sorted(kind.of_containers & params.keys()) if draft.driver == "process" else ():
        text = f"only containers have '{key}'; leave it out, or use `driver: docker`"
        yield Complaint((*item, key), text, at_key=True)
    if kind.needs_containers and draft.driver == "process":
        text = f"{_SHARED[kind.shared]}; use {_INSTEAD[kind.shared]}, or use `driver: docker`"
        yield Complaint((*item, "fault"), text)
    if kind.replaces and draft.driver == "compose":
        text = f"a compose file says only what a service is, so {kind.name} has nothing to put in its place"
        yield Complaint((*item, "fault"), f"{text}; leave it out, or use driver process or docker")
    if kind.needs_disk and draft.driver == "compose":
        text = f"the volumes of a compose file have no bounds that {kind.name} could act within"
        yield Complaint((*item, "fault"), f"{text}; leave it out, or use driver docker")


def _leaves(value: Any) -> Iterator[tuple[str | int, str]]:
    """Yield the texts of a list or a mapping, each with its index or key."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list) else ())
    yield from ((place, text) for place, text in items if isinstance(text, str))


def wrong_place(written: str, kind: FaultKind, draft: Draft) -> str | None:
    """Return what is wrong with a fault's `on:`, with the mend; None if it is right."""
    try:
        on = parse_on(written)
    except ValueError as error:
        return str(error)
    return _wrong_link(on, kind, draft) if kind.acts_on == "link" else _wrong_service(on, kind, draft)


def _wrong_link(on: On, kind: FaultKind, draft: Draft) -> str | None:
    if on.name in draft.services and on.name not in draft.links:
        to_it = [name for name, link in draft.links.items() if link is not None and link.to == on.name]
        return f"{kind.name} acts on a link, '{on.name}' is a service; {_one_of(to_it or list(draft.links))}"
    if on.name not in draft.links:
        return unknown("link", on.name, draft.links)
    if on.replicas is not None or on.role is not None or on.by_chance:
        return f"'{on.name}' is a link, which has no replicas; write '{on.name}', or '{on.name}/COHORT'"
    if on.cohort is None:
        return None
    if (bots := used_by_bots(draft)) and on.name != bots:
        return f"the bots do not use '{on.name}', so it has no cohorts; write '{on.name}'"
    cohorts = draft.cohorts or {ALL: None}
    return None if on.cohort in cohorts else unknown("cohort", on.cohort, cohorts)


def _wrong_service(on: On, kind: FaultKind, draft: Draft) -> str | None:
    if on.name in draft.links and on.name not in draft.services:
        link = draft.links[on.name]
        ends = [end for end in (link.to, link.from_service) if end] if link else list(draft.services)
        return f"{kind.name} acts on a service, '{on.name}' is a link; {_one_of(ends)}"
    if on.name not in draft.services:
        return unknown("service", on.name, draft.services)
    if draft.driver == "external" and not kind.of_others:
        others = f"use `fault: command` with commands of your own, or a fault on a link to '{on.name}'"
        return f"chaosctl did not start '{on.name}' (driver external), so {kind.name} cannot act on it; {others}"
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


def used_by_bots(draft: Draft) -> str | None:
    """Return the bots' link, or None where that is not clear (which is reported by itself)."""
    try:
        return bots_link(draft.starting_at_bots, draft.swarm.through if draft.swarm else None)
    except ValueError:
        return None


def _one_of(names: list[str]) -> str:
    return f"write {' or '.join(names)}" if names else "add one to target.links"


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Return that there is no such link, service or cohort, with the mend."""
    owner = "swarm" if what == "cohort" else "target"
    return f"there is no {what} '{word}'; {mend(word, known, f'add it to {owner}.{what}s')}"
