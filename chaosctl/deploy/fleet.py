"""The replicas of a target, as the drivers of this machine lead them: their order, their start, their placeholders."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chaosctl.deploy.contract import Replica
from chaosctl.deploy.replica import Start, SupervisedReplica
from chaosctl.errors import NotReadyError, RecordingError
from chaosctl.safety.exits import Exit

_KILLED_WITHIN_S = 10.0
# How long an end may take to be noticed, once it has come.
NOTICED_WITHIN_S = 2.0


@dataclass(frozen=True)
class Sight:
    """How a replica's addresses and folder look from somewhere: from this machine, or from within a container."""

    own: Callable[[Replica, str], str]
    other: Callable[[Replica, str], str]
    state: Callable[[Replica], str]


HERE = Sight(
    own=lambda replica, port: replica.ports[port],
    other=lambda replica, port: replica.ports[port],
    state=lambda replica: str(replica.state_dir),
)


@dataclass
class Fleet:
    """The replicas by service and index. `start_order` names every service after those that it needs; `links` are the
    addresses that the clients of links connect to, known once the relay is there."""

    start_order: tuple[str, ...]
    abort: threading.Event
    replicas: dict[tuple[str, int], SupervisedReplica] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def of(self, service: str) -> tuple[SupervisedReplica, ...]:
        """Return the replicas of a service."""
        return tuple(one for (name, _), one in self.replicas.items() if name == service)

    def process(self, service: str, index: int) -> SupervisedReplica:
        """Return one replica. Raises NotReadyError when there is none."""
        try:
            return self.replicas[service, index]
        except KeyError:
            known = ", ".join(one.name for one in self.replicas.values())
            raise NotReadyError(f"there is no {service}[{index}]; there are: {known}") from None

    def start(self, begin: Callable[[SupervisedReplica], Start]) -> None:
        """Start every service after those that it needs, and wait until each is ready. Raises NotReadyError."""
        for service in self.start_order:
            starts = []
            for one in self.of(service):
                if self.abort.is_set():
                    raise NotReadyError(f"stopped before {one.name} was started")
                starts.append((one, begin(one)))
            for one, start in starts:
                one.wait_ready(start, self.abort)

    def values(self, service: str, index: int, sight: Sight = HERE) -> Mapping[str, str]:
        """Return what `${...}` stands for: `self.PORT`, `link.NAME`, `service.NAME.PORT` (those of all replicas, joined
        by commas), `state`, `index`; `.host` and `.port` behind an address are its halves, where it is one address."""
        everyone = [one.replica for one in self.replicas.values()]
        return values_of(self.process(service, index).replica, everyone, self.links, sight)


class Ending(Protocol):
    """What `end_all` needs of a replica (see `SupervisedReplica`)."""

    def pid(self) -> int | None:
        """Return its process id now, None while it is down."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...

    def signal(self, name: str) -> None:
        """Send a signal to the main process. Raises NotReadyError."""
        ...

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Wait for the end of that process."""
        ...

    def wait_noticed(self, within_s: float) -> None:
        """Wait until every end was noticed."""
        ...


def end_all(replicas: Sequence[Ending], within_s: float) -> None:
    """End what runs of these: SIGTERM, after `within_s` SIGKILL. What does not end, or cannot be reached, is left to
    their removal."""
    for name, wait_s in (("SIGTERM", within_s), ("SIGKILL", _KILLED_WITHIN_S)):
        running = [one for one in replicas if one.pid() is not None]
        for one in running:
            with contextlib.suppress(NotReadyError):
                one.thaw()
                one.signal(name)
        end_s = time.monotonic() + wait_s
        for one in running:
            if (pid := one.pid()) is not None:
                one.exit_of(pid, max(0.0, end_s - time.monotonic()))
    for one in replicas:
        one.wait_noticed(NOTICED_WITHIN_S)


def values_of(
    replica: Replica, everyone: Sequence[Replica], links: Mapping[str, str], sight: Sight = HERE
) -> Mapping[str, str]:
    """Return what `${...}` stands for, for `replica` among `everyone` (see `Fleet.values`)."""
    others = {
        f"service.{one.service}.{port}": ",".join(
            sight.other(other, port) for other in everyone if other.service == one.service
        )
        for one in everyone
        for port in one.ports
    }
    addresses = {
        **{f"self.{port}": sight.own(replica, port) for port in replica.ports},
        **{f"link.{name}": address for name, address in links.items()},
        **others,
    }
    halves = {name: address.rpartition(":") for name, address in addresses.items() if "," not in address}
    return {
        "state": sight.state(replica),
        "index": str(replica.index),
        **addresses,
        **{f"{name}.host": host for name, (host, _, _) in halves.items()},
        **{f"{name}.port": port for name, (_, _, port) in halves.items()},
    }


def place_in(bundle: Path, service: str, index: int, ports: Mapping[str, str]) -> Replica:
    """Make the folders of a replica in the bundle, and return it. Raises RecordingError."""
    state = bundle / "state" / f"{service}-{index}"
    logs = bundle / "logs"
    for folder in (state, logs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(
                f"{folder} cannot be made ({error.strerror}); give another folder with --out"
            ) from error
    return Replica(service, index, ports, state, logs / f"{service}-{index}.log")
