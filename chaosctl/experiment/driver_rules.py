"""What each driver needs of a service, and what it cannot do with one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chaosctl.experiment.complaints import Complaint, Path, dotted, mend
from chaosctl.experiment.model import Link, Service


def check_driver(driver: str, service: Service, path: Path) -> Iterator[Complaint]:
    """Yield what is wrong with the service at `path` for this driver.

    Keys that only containers have are not wrong for processes: one file then serves both.
    """
    yield from _container_ports(service, path)
    if driver == "docker":
        if service.image is None and service.build is None:
            text = f"nothing says what {dotted(path)} runs from; add `image: NAME` or `build: {{ context: . }}`"
            yield Complaint(path, text, at_key=True)
    elif driver == "external":
        yield from _addresses(service, path)
        yield from _ready_elsewhere(service, path)
        if service.disk_bytes is not None:
            text = f"chaosctl does not start '{path[-1]}', so it cannot give it a disk; leave `disk` out"
            yield Complaint((*path, "disk"), text, at_key=True)
    elif driver == "process":
        if service.run is None:
            yield Complaint(path, f"'run' is missing in {dotted(path)}; add `run: [COMMAND, WORD, ...]`")
        if service.ready is not None and service.ready.health:
            text = "only containers have a health check; use tcp, http, log or command, or `driver: docker`"
            yield Complaint((*path, "ready", "health"), text)


def _addresses(service: Service, path: Path) -> Iterator[Complaint]:
    name = path[-1]
    if not service.addresses:
        text = f'nothing says where {dotted(path)} is; add `addresses: {{ main: "HOST:PORT" }}`'
        yield Complaint(path, text, at_key=True)
        return
    for port in service.ports:
        if port not in service.addresses:
            text = f"nothing says where the port '{port}' of '{name}' is; add it, or leave it out of `ports`"
            yield Complaint((*path, "addresses"), text, at_key=True)
    for port, addresses in service.addresses.items():
        if port not in service.ports:
            text = f"the service has no port '{port}'; {mend(port, service.ports, f'add `ports: [{port}]` to it')}"
            yield Complaint((*path, "addresses", port), text, at_key=True)
        if len(addresses) != service.replicas:
            text = f"'{name}' has {service.replicas} replicas and {len(addresses)} addresses here; write one for each"
            yield Complaint((*path, "addresses", port), text)


def _ready_elsewhere(service: Service, path: Path) -> Iterator[Complaint]:
    for key in ("log", "health"):
        if service.ready is not None and getattr(service.ready, key):
            text = f"chaosctl does not start '{path[-1]}', so it does not see its {key}; use tcp, http or command"
            yield Complaint((*path, "ready", key), text)


def check_listen(driver: str, link: Link, replicas: int, cohorts: int, path: Path) -> Iterator[Complaint]:
    """Yield what is wrong with where the relay of the link at `path` listens. `cohorts` use it, none if it starts at a
    service; it leads to so many `replicas`."""
    if not link.listen:
        if driver == "external" and link.from_service is not None:
            text = f"chaosctl does not start '{link.from_service}', so it cannot tell it where the relay is"
            yield Complaint(path, f'{text}; add `listen: "127.0.0.1:PORT"`, and have it connect there', at_key=True)
    elif driver in ("docker", "compose"):
        text = "containers are told where the relay is; leave `listen` out, or use driver process or external"
        yield Complaint((*path, "listen"), text, at_key=True)
    elif len(link.listen) != replicas:
        text = f"the link leads to {replicas} replicas, each with a relay of its own; write {replicas} addresses"
        yield Complaint((*path, "listen"), text)
    elif cohorts > 1:
        text = f"{cohorts} cohorts have relays of their own on this link; leave `listen` out, or have one cohort"
        yield Complaint((*path, "listen"), text, at_key=True)


def _container_ports(service: Service, path: Path) -> Iterator[Complaint]:
    for port in service.container_ports:
        if port not in service.ports:
            text = f"the service has no port '{port}'; {mend(port, service.ports, f'add `ports: [{port}]` to it')}"
            yield Complaint((*path, "container_ports", port), text, at_key=True)
    for number, times in Counter(service.container_ports.values()).items():
        if times > 1:
            text = f"{times} ports have the number {number}; give each a number of its own"
            yield Complaint((*path, "container_ports"), text, at_key=True)
