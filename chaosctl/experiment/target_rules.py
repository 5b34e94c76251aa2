"""What must hold within a target: every service, port, link and placeholder that is named exists. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from chaosctl.experiment.complaints import Complaint, Path, mend
from chaosctl.experiment.compose_rules import check_compose
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.driver_rules import check_driver, check_listen
from chaosctl.experiment.interpolate import placeholders
from chaosctl.experiment.model import Ask, Link, Service

# What a replay on a fresh copy fills in; ticks and the snapshot only in the arguments that are added for them.
_REPLAY_VALUES = {
    "run": ("input_log", "state"),
    "states": ("input_log", "state", "from_tick", "to_tick"),
    "snapshot": ("input_log", "state", "tick", "snapshot"),
    "keep": ("input_log", "state"),
    "inputs": ("input_log", "output"),
}


def check_target(draft: Draft) -> Iterator[Complaint]:
    """Yield what is wrong with the services and links."""
    for name, service in draft.services.items():
        if service is not None:
            path: Path = ("target", "services", name)
            yield from check_driver(draft.driver, service, path)
            yield from _needs(draft, service, path)
            yield from _ports(service, path)
            yield from _ready(service, path)
            yield from _texts(draft, name, service, path)
    yield from _cycles(draft.services)
    yield from check_compose(draft)
    for name, link in draft.links.items():
        if link is not None:
            yield from _link(draft, link, ("target", "links", name))


def _needs(draft: Draft, service: Service, path: Path) -> Iterator[Complaint]:
    for index, needed in enumerate(service.needs):
        if needed not in draft.services:
            yield Complaint((*path, "needs", index), _no_service(needed, draft))


def _cycles(services: Mapping[str, Service | None]) -> Iterator[Complaint]:
    """Yield one complaint for each ring of services that wait for each other."""
    graph = {
        name: [need for need in service.needs if need in services] for name, service in services.items() if service
    }
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            # The ring comes as each node before the one that needs it.
            ring = list(reversed(error.args[1]))
            text = f"needs goes round in a circle ({' -> '.join(ring)}); none of them could start first: remove one"
            yield Complaint(("target", "services", ring[0], "needs"), text)
            graph[ring[0]] = []
        else:
            return


def _ports(service: Service, path: Path) -> Iterator[Complaint]:
    for index, port in enumerate(service.ports):
        if port in service.ports[:index]:
            yield Complaint((*path, "ports", index), f"the port '{port}' is named twice; give each port its own name")


def _ready(service: Service, path: Path) -> Iterator[Complaint]:
    if (ready := service.ready) is not None:
        if ready.tcp is not None:
            yield from _port(ready.tcp, service, (*path, "ready", "tcp"))
        if ready.http is not None:
            yield from _http(ready.http, service, (*path, "ready", "http"))
        if ready.log is not None:
            try:
                re.compile(ready.log)
            except re.error as error:
                text = f"'{ready.log}' is not a regular expression ({error}); escape special characters with \\"
                yield Complaint((*path, "ready", "log"), text)
    if (probe := service.probe) is not None:
        if probe.port is not None:
            yield from _port(probe.port, service, (*path, "probe", "port"))
        elif not service.ports:
            yield Complaint(
                (*path, "probe"), "there is no port to ask; add `ports: [main]` to the service", at_key=True
            )
    for what in ("status", "totals", "digest", "metrics"):
        ask: Ask | None = getattr(service.offers, what)
        if ask is not None and ask.http is not None:
            yield from _http(ask.http, service, (*path, "offers", what, "http"))


def _http(text: str, service: Service, path: Path) -> Iterator[Complaint]:
    port, slash, _ = text.partition("/")
    if not slash or not port:
        first = service.ports[0] if service.ports else "main"
        yield Complaint(path, f"'{text}' does not begin with a port's name; write `{first}/{text.lstrip('/')}`")
    else:
        yield from _port(port, service, path)


def _port(port: str, service: Service, path: Path) -> Iterator[Complaint]:
    if port not in service.ports:
        text = f"the service has no port '{port}'; {mend(port, service.ports, f'add `ports: [{port}]` to it')}"
        yield Complaint(path, text)


def _link(draft: Draft, link: Link, path: Path) -> Iterator[Complaint]:
    if link.from_service is not None and link.from_service not in draft.services:
        hint = "leave `from` out for the bots" if link.from_service in ("bots", "swarm") else None
        text = f"there is no service '{link.from_service}'; {hint}" if hint else _no_service(link.from_service, draft)
        yield Complaint((*path, "from"), text)
    if link.to not in draft.services:
        yield Complaint((*path, "to"), _no_service(link.to, draft))
    elif (service := draft.services[link.to]) is not None:
        if not service.ports:
            text = f"the service '{link.to}' listens on no port; add `ports: [{link.port or 'main'}]` to it"
            yield Complaint((*path, "to"), text)
        elif link.port is not None:
            yield from _port(link.port, service, (*path, "port"))
        cohorts = len(draft.cohorts) if link.from_service is None else 0
        yield from check_listen(draft.driver, link, service.replicas, cohorts, path)


def _texts(draft: Draft, name: str, service: Service, path: Path) -> Iterator[Complaint]:
    """Yield what is wrong with the placeholders in everything that is filled in at run time."""
    for place, text in _filled_in(service):
        for placeholder in placeholders(text):
            if place[:2] == ("offers", "replay"):
                wrong = _in_replay(placeholder, _REPLAY_VALUES[str(place[2])])
            elif placeholder == "backup" and place[:2] in (("offers", "backup"), ("offers", "restore")):
                wrong = None
            else:
                wrong = wrong_placeholder(placeholder, draft, name, service)
            if wrong:
                yield Complaint((*path, *place), wrong)


def _filled_in(service: Service) -> Iterator[tuple[Path, str]]:
    offers = service.offers
    lists: list[tuple[Path, tuple[str, ...] | None]] = [
        (("run",), service.run),
        (("ready", "command"), service.ready.command if service.ready else None),
        (("offers", "status", "command"), offers.status.command if offers.status else None),
        (("offers", "totals", "command"), offers.totals.command if offers.totals else None),
        (("offers", "digest", "command"), offers.digest.command if offers.digest else None),
        (("offers", "backup"), offers.backup),
        (("offers", "restore"), offers.restore),
        (("offers", "metrics", "command"), offers.metrics.command if offers.metrics else None),
    ]
    if (replay := offers.replay) is not None:
        snapshot = replay.snapshot
        lists += [
            (("offers", "replay", "run"), replay.run),
            (("offers", "replay", "states"), replay.states),
            (("offers", "replay", "snapshot", "write"), snapshot.write if snapshot else None),
            (("offers", "replay", "snapshot", "from"), snapshot.begin if snapshot else None),
            (("offers", "replay", "keep"), replay.keep),
            (("offers", "replay", "inputs", "decode"), replay.inputs.decode if replay.inputs else None),
            (("offers", "replay", "inputs", "encode"), replay.inputs.encode if replay.inputs else None),
        ]
    for place, words in lists:
        for index, word in enumerate(words or ()):
            yield (*place, index), word
    yield from ((("env", key), value) for key, value in service.env.items())
    for key, path in (("input_log", offers.input_log), ("digests", offers.digests)):
        if path is not None:
            yield ("offers", key), path


def _in_replay(placeholder: str, known: tuple[str, ...]) -> str | None:
    if placeholder in known:
        return None
    return f"'${{{placeholder}}}' is not known to a replay; {mend(placeholder, known, '')}"


def wrong_placeholder(placeholder: str, draft: Draft, name: str, service: Service) -> str | None:
    """Return what is wrong with `${placeholder}` in a text of the service `name`, or None."""
    first, dot, rest = placeholder.partition(".")
    if placeholder in ("state", "index"):
        return None
    # Every address has its halves, for programs that take them apart: `${self.main.port}`.
    rest = rest.removesuffix(".host").removesuffix(".port")
    if first == "self" and dot:
        return None if rest in service.ports else _unknown("port", rest, service.ports)
    if first == "link" and dot:
        return _link_placeholder(rest, draft, name)
    if first == "service" and dot:
        return _service_placeholder(rest, draft)
    known = ("state", "index", *(f"self.{port}" for port in service.ports), *(f"link.{link}" for link in draft.links))
    return f"'${{{placeholder}}}' is not known; {mend(placeholder, known, '')}"


def _link_placeholder(link_name: str, draft: Draft, name: str) -> str | None:
    own = [other for other, link in draft.links.items() if link is None or link.from_service == name]
    if link_name not in draft.links:
        return _unknown("link", link_name, own or draft.links)
    if link_name in own:
        return None
    return f"the link '{link_name}' does not start at '{name}'; write `from: {name}` in it, or use another link"


def _service_placeholder(rest: str, draft: Draft) -> str | None:
    """Check `world.main`."""
    name, _, port = rest.partition(".")
    if name not in draft.services:
        return _no_service(name, draft)
    other = draft.services[name]
    return None if other is None or port in other.ports else _unknown("port", port, other.ports)


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    return f"there is no {what} '{word}'; {mend(word, known, f'add the {what}')}"


def _no_service(name: str, draft: Draft) -> str:
    return f"there is no service '{name}'; {mend(name, draft.services, 'add it to target.services')}"
