"""What each driver needs of a service, and what it cannot do with one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chaosctl.experiment.complaints import Complaint, Path, dotted, mend
from chaosctl.experiment.model import Service


def check_driver(driver: str, service: Service, path: Path) -> Iterator[Complaint]:
    """Yield what is wrong with the service at `path` for this driver.

    Keys that only containers have are not wrong for processes: one file then serves both.
    """
    yield from _container_ports(service, path)
    if driver == "docker":
        if service.image is None and service.build is None:
            text = f"nothing says what {dotted(path)} runs from; add `image: NAME` or `build: {{ context: . }}`"
            yield Complaint(path, text, at_key=True)
    elif driver == "process":
        if service.run is None:
            yield Complaint(path, f"'run' is missing in {dotted(path)}; add `run: [COMMAND, WORD, ...]`")
        if service.ready is not None and service.ready.health:
            text = "only containers have a health check; use tcp, http, log or command, or `driver: docker`"
            yield Complaint((*path, "ready", "health"), text)


def _container_ports(service: Service, path: Path) -> Iterator[Complaint]:
    for port in service.container_ports:
        if port not in service.ports:
            text = f"the service has no port '{port}'; {mend(port, service.ports, f'add `ports: [{port}]` to it')}"
            yield Complaint((*path, "container_ports", port), text, at_key=True)
    for number, times in Counter(service.container_ports.values()).items():
        if times > 1:
            text = f"{times} ports have the number {number}; give each a number of its own"
            yield Complaint((*path, "container_ports"), text, at_key=True)
