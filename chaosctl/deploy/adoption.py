"""The services of an experiment among the containers of a compose project, and leading those: for both compose drivers,
the one that has brought the project up and the one that attaches to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from chaosctl.deploy.adopted import AdoptedLauncher, AdoptedReplica, Hooks
from chaosctl.deploy.compose_override import members_of
from chaosctl.deploy.compose_project import Found
from chaosctl.deploy.container_checks import container_checks
from chaosctl.deploy.containers import Box
from chaosctl.deploy.contract import Replica, Setup
from chaosctl.deploy.fleet import NOTICED_WITHIN_S, Fleet, Sight, end_all, place_in
from chaosctl.deploy.images import as_recorded, look_up
from chaosctl.deploy.launcher import Command, Version
from chaosctl.deploy.replica import SupervisedReplica
from chaosctl.deploy.restart import Supervisor
from chaosctl.errors import NotReadyError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Ready, Target
from chaosctl.safety.engine import Engine
from chaosctl.safety.exits import ExitNotice
from chaosctl.safety.keeper_client import Spawned

# A health check of the compose file counts where the experiment says nothing; it may begin late and ask seldom.
_HEALTHY_WITHIN = "60s"
_NO_POLICY = "no"
_EVERYWHERE = "0.0.0.0"

Key = tuple[str, int]
"""A replica: its service and its index."""


class Adoption:
    """Threads may share it."""

    def __init__(self, engine: Engine, setup: Setup, *, ours: bool) -> None:
        """`ours`: the run has brought the project up, and takes it down."""
        self.fleet = Fleet(setup.start_order, setup.abort)
        self.engine_is_gone = threading.Event()
        self._engine = engine
        self._setup = setup
        self._target = setup.target
        self._ours = ours
        self._places: dict[Key, Replica] = {}
        self._launcher: AdoptedLauncher | None = None
        self._supervisor: Supervisor | None = None

    def place(self, addresses: Mapping[Key, Mapping[str, str]]) -> tuple[Replica, ...]:
        """Make the folders of every replica, and return them all; `addresses` are those of its ports on this machine,
        by name. Raises RecordingError."""
        self._places = {key: place_in(self._setup.bundle, *key, ports) for key, ports in addresses.items()}
        for place in self._places.values():
            # Whoever an image runs as: it has to write there.
            place.state_dir.chmod(0o777)
        return tuple(self._places.values())

    def adopt(self, found: Mapping[Key, Found]) -> None:
        """Take these containers for the replicas. Raises NotReadyError."""
        boxes = {
            self._places[key].name: Box(one.id, one.network, Command((), {}, Path("/")), one.terminal)
            for key, one in found.items()
        }
        lost = partial(self._setup.on_lost, "deployment")
        hooks = Hooks(self._ended, self._engine_gone, self._taken_up, lost)
        launcher = AdoptedLauncher(self._engine, self.inner_port, boxes, hooks, ours=self._ours)
        self._launcher = launcher
        self.fleet.replicas = {key: self._replica(launcher, self._places[key], one) for key, one in found.items()}
        self._supervisor = Supervisor(self.fleet.replicas.values())

    def up(self, links: Mapping[str, str]) -> None:
        """Watch over everything, and wait until it is ready. Raises NotReadyError."""
        assert self._supervisor is not None, "adopt() comes first"
        self.fleet.links = dict(links)
        self._supervisor.start()
        self.fleet.start(lambda replica: replica.begin(as_it_is, self._checks(replica)))

    def inner_port(self, replica: Replica, port: str) -> int:
        """Return its number inside."""
        return self._target.services[replica.service].container_ports[port]

    def leave(self) -> None:
        """Lead them no more: they are not started again, and nothing of them is missed."""
        for replica in self.fleet.replicas.values():
            replica.stop()
        if self._launcher is not None:
            self._launcher.stop_watching()

    def end(self) -> None:
        """End what runs, in the reverse order of the start; an engine that has gone is not asked."""
        for service in () if self.engine_is_gone.is_set() else reversed(self.fleet.start_order):
            end_all(self.fleet.of(service), self._target.services[service].stop_within_ns / 1e9)

    def close(self) -> None:
        """Close the logs, once everything that ended was noticed."""
        if self._supervisor is not None:
            self._supervisor.stop(NOTICED_WITHIN_S)
        if self._launcher is not None:
            self._launcher.close()

    # -- within

    def _replica(self, launcher: AdoptedLauncher, place: Replica, found: Found) -> AdoptedReplica:
        service = self._target.services[place.service]
        if service.ready is None and found.health:
            healthy = Ready.model_validate({"health": True, "within": _HEALTHY_WITHIN})
            service = service.model_copy(update={"ready": healthy})
        elif service.ready is not None and service.ready.health and not found.health:
            raise NotReadyError(
                f"{place.service} has no health check, neither in the compose file nor in its image ({found.image}); "
                "add `healthcheck:`, or use another way in `ready`: tcp, http, log, command"
            )
        has_policy = found.policy != _NO_POLICY
        return AdoptedReplica(place, service, launcher, self._setup.sink, self._setup.origin_ns, has_policy=has_policy)

    def _checks(self, replica: SupervisedReplica) -> Any:
        ready, place = replica.definition.ready, replica.replica
        assert self._launcher is not None, "adopt() comes first"
        sight = Sight(
            own=lambda one, port: f"{_EVERYWHERE}:{self.inner_port(one, port)}",
            other=lambda one, port: f"{one.service}:{self.inner_port(one, port)}",
            state=lambda one: self._target.services[one.service].state or "",
        )
        inside = self.fleet.values(replica.service, replica.index, sight)
        argv = expand((ready.command if ready else None) or (), inside)
        numbers = {port: self.inner_port(place, port) for port in place.ports}
        return container_checks(ready, self._launcher, place, argv, numbers)

    def _ended(self, notice: ExitNotice) -> None:
        if self._supervisor is not None:
            self._supervisor.post(notice)

    def _taken_up(self, name: str, spawned: Spawned) -> None:
        for replica in self.fleet.replicas.values():
            if replica.name == name and isinstance(replica, AdoptedReplica):
                replica.taken_up(spawned)

    def _engine_gone(self, why: str) -> None:
        self.engine_is_gone.set()
        self._setup.on_lost("engine", why)


def as_it_is(version: Version) -> Command:
    """Return what starts it (see `launcher.CommandOf`): as compose has made it."""
    if version.name is not None:
        raise NotReadyError("a container of a compose project is never made anew, so it gets no other version")
    return Command((), {}, Path("/"))


def assigned(
    target: Target, found: Mapping[str, Sequence[Found]], order: Callable[[Found], int] = lambda one: one.number
) -> dict[Key, Found]:
    """Return the container of each replica, those of a service in this order. Raises NotReadyError where there are not
    as many as the experiment says."""
    those: dict[Key, Found] = {}
    for name, member in members_of(target).items():
        here = sorted(found.get(name, ()), key=order)
        if (n := len(here)) != (wanted := len(member.indexes)):
            mend = f"write `replicas: {n}`" if n else "start it with `docker compose up`, or correct its name"
            have = f"{n} container{'s' if n != 1 else ''} of '{name}'"
            raise NotReadyError(f"the compose project has {have}, the experiment says {wanted}; {mend}")
        those |= {(member.service, index): one for index, one in zip(member.indexes, here, strict=True)}
    return those


def images_of(engine: Engine, found: Mapping[Key, Found]) -> Mapping[str, Any]:
    """Return the image of each service, with its digests, for the run's identity. Raises NotReadyError."""
    first = {name: one for (name, index), one in found.items() if index == 0}
    return {name: as_recorded(look_up(engine, one.image_id, one.image)) for name, one in first.items()}
