"""Stage 4, deployment: what a driver is to the rest. One file a driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chaosctl.experiment.model import Target
from chaosctl.safety.disk import Disk
from chaosctl.safety.engine import Engine
from chaosctl.safety.undo import Undo


@dataclass(frozen=True)
class Replica:
    """One running copy of a service. `ports` are `host:port` by port name; they stay true over restarts.
    `disk` is where its state is, if it has one of its own."""

    service: str
    index: int
    ports: Mapping[str, str]
    state_dir: Path
    log_path: Path
    disk: Disk | None = None

    @property
    def name(self) -> str:
        """Return `world[0]`."""
        return f"{self.service}[{self.index}]"


@dataclass(frozen=True)
class ContainerNetwork:
    """Where the containers of a target find each other, for a relay that stands there too: the network, and the
    address of a service's replica on it, by its port (`address_of("world", 0, "main")`). `host` is where their engine
    publishes ports, and where this machine reaches them."""

    engine: Engine
    name: str
    host: str
    address_of: Callable[[str, int, str], str]


class EventSink(Protocol):
    """Where a driver reports what happens to replicas: `sink("service_exited", service="world", replica=0, ...)`."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Record one event, with the present time unless `at_ns` is given."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a driver is told of its run. `folder` is the experiment's; `bundle` is absolute; `start_order` names every
    service after those that it needs; `environ` names the engine, and is what services begin with; `abort` ends the
    waiting of `up` early; `on_lost` is told, maybe more than once, that a part of the run (`engine`) is gone, and why.
    """

    target: Target
    folder: Path
    bundle: Path
    run_id: str
    origin_ns: int
    sink: EventSink
    start_order: tuple[str, ...]
    environ: Mapping[str, str]
    abort: threading.Event
    on_lost: Callable[[str, str], None]


class Driver(Protocol):
    """Brings a target up and down. It stops what it started, whatever happened in between."""

    def link_listen(self, link: str, replica: int) -> str:
        """Return where the relay listens on this machine for what services send over a link to this replica; port 0:
        at any. Known after `allocate`."""
        ...

    def network(self) -> ContainerNetwork | None:
        """Return the network on which a relay reaches the services and is reached by them; None where they are in no
        containers. Known after `allocate`."""
        ...

    def undo(self) -> tuple[Undo, ...]:
        """Return what takes away what it starts if nobody lives to call `down`, as data to be written before
        `allocate`. Raises NotReadyError where nothing could be started anyway."""
        ...

    def images(self) -> Mapping[str, Any]:
        """Return what the services run from, by service, for the run's identity; nothing where they are processes."""
        ...

    def allocate(self) -> tuple[Replica, ...]:
        """Choose ports and folders of every replica, and make what they start from and are joined by (images, a
        network); none is started. Raises NotReadyError."""
        ...

    def up(self, links: Mapping[str, str]) -> None:
        """Start everything in dependency order and wait until ready; `links` maps a link's name to the address that
        its client services connect to. Raises NotReadyError with the last 20 lines of the log of what is not ready."""
        ...

    def process(self, service: str, index: int) -> Any:
        """Return the replica's `faults.contract.ProcessControl`."""
        ...

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for on this machine: in the paths and commands that the replica offers."""
        ...

    def down(self) -> tuple[str, ...]:
        """TERM, then KILL, everything that is left. Idempotent. Return what could not be ended, a sentence each."""
        ...
