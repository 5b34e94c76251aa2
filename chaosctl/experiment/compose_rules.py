"""What driver `compose` needs of an experiment, and what it cannot do for one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from chaosctl.experiment.complaints import Complaint, Path, dotted
from chaosctl.experiment.draft import Draft
from chaosctl.experiment.model import Service

_COMPOSE: Path = ("target", "compose")


def check_compose(draft: Draft) -> Iterator[Complaint]:
    """Yield what is wrong for a compose project; nothing where the driver is another.

    Keys by which other drivers start a service (`run`, `image`, `build`, `env`) are not wrong: one file then serves
    all, and here it is the compose file that says so.
    """
    if draft.driver != "compose" or draft.compose is None:
        return
    if draft.is_attached and draft.compose.project is None:
        yield Complaint(_COMPOSE, "nothing says which project is attached to; add `project: NAME`", at_key=True)
    if not draft.is_attached and draft.compose.file is None:
        yield Complaint(_COMPOSE, "nothing says what is brought up; add `compose: { file: compose.yaml }` to target")
    for name, service in draft.services.items():
        if service is not None:
            path: Path = ("target", "services", name)
            yield from _ports(service, path)
            yield from _parts(service, path)
            yield from _attached(service, path) if draft.is_attached else _state(service, path)
    yield from _links(draft)
    through = draft.probe.through if draft.probe is not None else None
    link = draft.links.get(through or "")
    if draft.is_attached and link is not None and link.from_service is not None:
        text = f"'{through}' has no relay, for nothing of a project that is attached to is made anew"
        yield Complaint(("probe", "through"), f"{text}; leave it out: the bots' link has one")


def _ports(service: Service, path: Path) -> Iterator[Complaint]:
    for index, port in enumerate(service.ports):
        if port not in service.container_ports:
            text = f"nothing says which number the port '{port}' has inside; add `container_ports: {{ {port}: 7000 }}`"
            yield Complaint((*path, "ports", index), text)


def _parts(service: Service, path: Path) -> Iterator[Complaint]:
    n = len(service.compose_services)
    if n and n != service.replicas:
        text = f"{n} services of the compose file are {service.replicas} replicas; write one for each, or no `replicas`"
        yield Complaint((*path, "compose_services"), text)


def _links(draft: Draft) -> Iterator[Complaint]:
    """Yield links that one and the same relay would have to carry, which listens at the port that the client uses."""
    seen: dict[tuple[str, str, str | None], str] = {}
    for name, link in draft.links.items():
        service = draft.services.get(link.to) if link is not None else None
        if link is None or link.from_service is None or service is None:
            continue
        key = (link.from_service, link.to, link.port or next(iter(service.ports), None))
        if key in seen:
            text = f"'{seen[key]}' leads from '{link.from_service}' to the same port of '{link.to}'"
            yield Complaint(("target", "links", name), f"{text}; leave one of them out", at_key=True)
        seen.setdefault(key, name)


def _state(service: Service, path: Path) -> Iterator[Complaint]:
    if service.state is not None and service.replicas > 1 and not service.compose_services:
        text = f"its {service.replicas} replicas would share one folder; leave `state` out, or write `compose_services`"
        yield Complaint((*path, "state"), text, at_key=True)


def _attached(service: Service, path: Path) -> Iterator[Complaint]:
    """Yield what would change something of the service, or was to be seen before it was attached to."""
    for key in ("restart", "state"):
        if getattr(service, key) is not None:
            text = f"{dotted(path)} is left as it is found, with its own restart policy and folders; leave `{key}` out"
            yield Complaint((*path, key), text, at_key=True)
    if service.ready is not None and service.ready.log is not None:
        text = "what it printed before it was attached to is not seen; use tcp, http, command or health"
        yield Complaint((*path, "ready", "log"), text)
