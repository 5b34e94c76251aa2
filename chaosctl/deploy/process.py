"""The `process` driver: services as child processes of the keeper, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chaosctl.deploy.contract import Replica, Setup
from chaosctl.deploy.disks import take_away_disks, undo_of_disks, with_disk
from chaosctl.deploy.fleet import Fleet, place_in
from chaosctl.deploy.launcher import Command, Version
from chaosctl.deploy.processes import ProcessLauncher
from chaosctl.deploy.readiness import Check, check_of
from chaosctl.deploy.replica import Start, SupervisedReplica
from chaosctl.deploy.restart import Supervisor
from chaosctl.errors import NotReadyError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service
from chaosctl.safety.keeper_client import Keeper
from chaosctl.safety.label import end_found, end_processes, labelled
from chaosctl.safety.ports import LOOPBACK, ReservedPorts, is_taken, reserve_ports
from chaosctl.safety.undo import Undo

_NOTICED_WITHIN_S = 2.0


class ProcessDriver:
    """Implements `deploy.contract.Driver`. Threads may share it; `down` may come at any moment."""

    def __init__(self, setup: Setup, keeper: Keeper) -> None:
        self._target = setup.target
        self._folder = setup.folder
        self._bundle = setup.bundle
        self._keeper = keeper
        self._sink = setup.sink
        self._environ = dict(setup.environ)
        self._fleet = Fleet(setup.start_order, setup.abort)
        self._supervisor: Supervisor | None = None
        self._ports: ReservedPorts | None = None

    def allocate(self) -> tuple[Replica, ...]:
        """Choose ports and folders of every replica, once; nothing is started. Raises NotReadyError, RecordingError."""
        if not self._fleet.replicas:
            services = self._target.services
            self._ports = reserve_ports(sum(len(one.ports) * one.replicas for one in services.values()))
            ports = iter(self._ports.numbers)
            launcher = ProcessLauncher(self._keeper)
            self._fleet.replicas = {
                (name, index): SupervisedReplica(
                    self._place(name, index, {port: f"{LOOPBACK}:{next(ports)}" for port in service.ports}),
                    service,
                    launcher,
                    self._sink,
                    self._keeper.origin_ns,
                )
                for name, service in services.items()
                for index in range(service.replicas)
            }
        return tuple(one.replica for one in self._fleet.replicas.values())

    def up(self, links: Mapping[str, str]) -> None:
        """Start every service after those that it needs, and wait until each is ready. `links` maps a link's name to
        the address that its client services connect to. Raises NotReadyError."""
        self.allocate()
        self._fleet.links = dict(links)
        self._supervisor = Supervisor(self._fleet.replicas.values())
        self._keeper.subscribe(self._supervisor.post)
        self._supervisor.start()
        self._fleet.start(self._begin)

    def process(self, service: str, index: int) -> SupervisedReplica:
        """Return the replica's `faults.contract.ProcessControl`. Raises NotReadyError when there is none."""
        return self._fleet.process(service, index)

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for (see `Fleet.values`). Links have values once `up` was called."""
        return self._fleet.values(service, index)

    def link_listen(self, link: str, replica: int) -> str:
        """Return a free port of loopback."""
        return f"{LOOPBACK}:0"

    def network(self) -> None:
        """Return None: processes are in no containers."""

    def undo(self) -> tuple[Undo, ...]:
        """Return what takes the disks away: the keeper ends the processes itself. Raises NotReadyError."""
        return undo_of_disks(self._bundle, self._target.services)

    def images(self) -> Mapping[str, Any]:
        """Return nothing: processes have no images."""
        return {}

    def down(self) -> tuple[str, ...]:
        """TERM, then KILL, everything that is left, in the reverse order of the start. Idempotent.

        Return what could not be ended, a sentence each.
        """
        for replica in self._fleet.replicas.values():
            replica.stop()
        left: tuple[str, ...] = ()
        for service in reversed(self._fleet.start_order):
            pids = [pid for replica in self._fleet.of(service) for pid in replica.alive()]
            left += end_processes(pids, self._target.services[service].stop_within_ns / 1e9)
        left += self._end_strays()
        left += take_away_disks(self._bundle, self._target.services)
        if self._supervisor is not None:
            if self._keeper.alive():
                for replica in self._fleet.replicas.values():
                    replica.wait_noticed(_NOTICED_WITHIN_S)
            self._supervisor.stop(_NOTICED_WITHIN_S)
        if self._ports is not None:
            self._ports.release()
        return tuple(dict.fromkeys(left))

    def _place(self, name: str, index: int, ports: Mapping[str, str]) -> Replica:
        bare = place_in(self._bundle, name, index, ports)
        return with_disk(bare, self._target.services[name], self._bundle, self._environ)

    def _end_strays(self) -> tuple[str, ...]:
        """End what left its replica's session, and what was started just as `up` was interrupted."""
        names = {replica.name for replica in self._fleet.replicas.values()}
        return end_found(lambda: self._keeper.held(names), 0.0)[1]

    def _begin(self, replica: SupervisedReplica) -> Start:
        """Start it for the first time. Raises NotReadyError when it cannot be started here and now."""
        folder = self._working_folder(replica.definition)
        if not folder.is_dir():
            raise NotReadyError(
                f"{replica.name} cannot be started: its folder {folder} does not exist; "
                f"mend `folder` of service {replica.service}"
            )
        for port, address in replica.replica.ports.items():
            host, _, number = address.rpartition(":")
            if is_taken(host, int(number)):
                raise NotReadyError(
                    f"{replica.name} cannot be started: its port {port} ({address}) is in use by another program, "
                    "since a moment ago; run it again, other ports will be chosen"
                )
        return replica.begin(partial(self._command, replica), self._checks(replica))

    def _command(self, replica: SupervisedReplica, version: Version) -> Command:
        """Return what starts a version of it (see `launcher.CommandOf`). Raises NotReadyError for an image."""
        if version.image is not None:
            raise NotReadyError(f"{replica.name} is a process and has no image; use `driver: docker`")
        argv = expand(version.run or replica.definition.run or (), self.values(replica.service, replica.index))
        whole = self._env(replica, version.env)
        added = {name: whole[name] for name in version.env}
        return Command(argv, whole, self._working_folder(replica.definition), version.name, added)

    def _env(self, replica: SupervisedReplica, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        own = {**replica.definition.env, **more}
        values = expand(tuple(own.values()), self.values(replica.service, replica.index))
        return labelled({**self._environ, **dict(zip(own, values, strict=True))}, self._keeper.run_id)

    def _working_folder(self, service: Service) -> Path:
        return (self._folder / service.folder).absolute()

    def _checks(self, replica: SupervisedReplica) -> Callable[[], Check | None]:
        """Return what makes a readiness check for each start of the replica."""
        ready = replica.definition.ready
        if ready is None:
            return lambda: None
        command = expand(ready.command or (), self.values(replica.service, replica.index))
        env, folder = self._env(replica), self._working_folder(replica.definition)
        return lambda: check_of(ready, replica.replica, command, env, folder)
