"""Real containers for the tests of faults: one that answers PING at a published port, and what is seen from outside."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.deploy.docker import DockerDriver
from chaosctl.exchange import exchange
from chaosctl.experiment.model import Hello, Target
from chaosctl.faults.contract import Place
from chaosctl.safety.container import Container
from tests.fixtures.drivers import setup

PORT = 7000
PING = Hello(send="PING\n", expect="+PONG")
ANSWERS = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 50, ReuseAddr => 1) or die;"
    "while ($c = $s->accept) { if (!fork) { while (<$c>) { syswrite $c, '+PONG' } exit } }"
)
SERVICE: dict[str, Any] = {
    "image": "debian:bookworm-slim",
    "run": ["perl", "-e", f"$SIG{{CHLD}} = 'IGNORE'; $SIG{{TERM}} = sub {{ exit }}; {ANSWERS}"],
    "ports": ["main"],
    "container_ports": {"main": PORT},
    "ready": {"tcp": "main"},
}


@dataclass(frozen=True)
class Box:
    """A replica in a container, as a fault sees it, and as the world does."""

    place: Place
    driver: DockerDriver
    published: str
    events: list[tuple[str, dict[str, Any]]]

    @property
    def container(self) -> Container:
        """Return its container."""
        found = self.driver.process("one", 0).container()
        assert found is not None
        return found

    def answer(self, within_s: float = 1.0) -> str:
        """Ask it at its published port: `answered`, `silent`, `refused`, `closed`, `reset`."""
        return exchange(self.published, PING, within_s).outcome

    def run(self, *argv: str, replica: tuple[str, int] = ("one", 0)) -> int | None:
        """Run a command inside and return its exit code, None if it does not end."""
        launcher = self.driver._launcher
        assert launcher is not None
        return launcher.execute(self.driver.process(*replica).replica, argv, 20.0)

    def connection(self, port: int = PORT, within_s: float = 1.0) -> str:
        """Ask it at its own address on its network."""
        endpoint = self.container.endpoint()
        assert endpoint is not None
        return exchange(f"{endpoint.address}:{port}", PING, within_s).outcome


@contextmanager
def box(folder: Path, services: dict[str, Any] | None = None, **service: Any) -> Iterator[Box]:
    """Bring one up, or all of these services, and take it away."""
    services = services or {"one": {**SERVICE, **service}}
    target = Target.model_validate({"driver": "docker", "services": services})
    events: list[tuple[str, dict[str, Any]]] = []
    run_id = f"test-{uuid.uuid4().hex[:8]}"

    def sink(event: str, /, **fields: Any) -> None:
        events.append((event, fields))

    driver = DockerDriver(setup(target, folder, folder / "bundle", run_id, sink, threading.Event()))
    driver.undo()
    try:
        driver.allocate()
        driver.up({})
        place = Place("one", processes=(driver.process("one", 0),), held=True)
        yield Box(place, driver, driver.allocate()[0].ports["main"], events)
    finally:
        assert driver.down() == ()
