"""The `docker` driver: services as containers of an engine, here or elsewhere, on a network of the run's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from chaosctl.deploy.container_checks import container_checks
from chaosctl.deploy.containers import ContainerLauncher, Setting
from chaosctl.deploy.contract import ContainerNetwork, Replica, Setup
from chaosctl.deploy.disks import take_away_disks, undo_of_disks, with_disk
from chaosctl.deploy.fleet import NOTICED_WITHIN_S, Fleet, end_all, place_in
from chaosctl.deploy.images import Image, as_recorded, find_images
from chaosctl.deploy.launcher import Command, Version
from chaosctl.deploy.networks import make_network
from chaosctl.deploy.replica import Start, SupervisedReplica
from chaosctl.deploy.restart import Supervisor
from chaosctl.deploy.within_containers import command_within, inner_port, network_name, sight_within
from chaosctl.errors import NotReadyError
from chaosctl.experiment.interpolate import expand
from chaosctl.safety.engine import Engine, named_engine
from chaosctl.safety.engine_address import host_of
from chaosctl.safety.ports import LOOPBACK, ReservedPorts, is_taken, reserve_ports
from chaosctl.safety.undo import ContainersUndo, Undo, play


class DockerDriver:
    """Implements `deploy.contract.Driver`. Threads may share it; `down` may come at any moment."""

    def __init__(self, setup: Setup) -> None:
        """Raises NotReadyError for an engine that cannot be used."""
        self._setup = setup
        self._target = setup.target
        self._bundle = setup.bundle
        self._run_id = setup.run_id
        self._engine = named_engine(setup.environ)
        self._host = published_at(self._engine, setup.environ)
        self._engine_is_gone = threading.Event()
        self._fleet = Fleet(setup.start_order, setup.abort)
        self._images: Mapping[str, Image] = {}
        self._gateway = ""
        self._is_fetched = False
        self._ports: ReservedPorts | None = None
        self._supervisor: Supervisor | None = None
        self._launcher: ContainerLauncher | None = None

    def link_listen(self, link: str, replica: int) -> str:
        """Return a free port of this machine's address on the run's network, where containers reach it and nobody else
        does."""
        return f"{self._gateway}:0"

    def network(self) -> ContainerNetwork:
        """Return the run's network, where each replica has a name of its own."""

        def address_of(service: str, index: int, port: str) -> str:
            return sight_within(self._inner_port).other(self._fleet.process(service, index).replica, port)

        return ContainerNetwork(self._engine, network_name(self._run_id), self._host, address_of)

    def undo(self) -> tuple[Undo, ...]:
        """Return what removes everything of the run by its label. Raises NotReadyError where no engine answers."""
        self._engine.ask("GET", "/version")
        return (
            ContainersUndo(self._engine.address, self._run_id),
            *undo_of_disks(self._bundle, self._target.services),
        )

    def images(self) -> Mapping[str, Any]:
        """Return the image of each service, with its digests; known after `allocate`."""
        return {service: as_recorded(image) for service, image in self._images.items()}

    def allocate(self) -> tuple[Replica, ...]:
        """Find or build the images, make the network, choose ports and folders, once. Raises NotReadyError,
        RecordingError."""
        if not self._fleet.replicas:
            engine, services = self._engine, self._target.services
            logs = self._bundle / "logs"
            self._images = find_images(engine, services, self._setup.folder, logs, self._fleet.abort)
            self._check_health()
            network = self.network().name
            self._gateway = make_network(engine, network, self._run_id)
            self._ports = reserve_ports(sum(len(one.ports) * one.replicas for one in services.values()))
            setting = Setting(self._run_id, network, self._inner_port)
            launcher = ContainerLauncher(engine, setting, lambda notice: self._supervise().post(notice), self._lost)
            self._launcher = launcher
            self._fleet.replicas = self._place_all(launcher, iter(self._ports.numbers))
        return tuple(one.replica for one in self._fleet.replicas.values())

    def up(self, links: Mapping[str, str]) -> None:
        """Start every service after those that it needs, and wait until each is ready. Raises NotReadyError."""
        self.allocate()
        self._fleet.links = dict(links)
        self._supervise().start()
        self._fleet.start(self._begin)

    def process(self, service: str, index: int) -> SupervisedReplica:
        """Return the replica's `faults.contract.ProcessControl`. Raises NotReadyError when there is none."""
        return self._fleet.process(service, index)

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for on this machine: published ports, the folder that is mounted."""
        return self._fleet.values(service, index)

    def down(self) -> tuple[str, ...]:
        """TERM, then KILL, in the reverse order of the start; then remove everything of the run. Idempotent.

        Return what could not be ended or removed, a sentence each.
        """
        for replica in self._fleet.replicas.values():
            replica.stop()
        # An engine that has gone says of nothing when it ends: what it comes back with is removed by force.
        for service in () if self._engine_is_gone.is_set() else reversed(self._fleet.start_order):
            end_all(self._fleet.of(service), self._target.services[service].stop_within_ns / 1e9)
        self._fetch_states()
        removed = play(ContainersUndo(self._engine.address, self._run_id))
        left: tuple[str, ...] = () if removed.done else (f"{removed.text}; `chaosctl restore` removes what is left",)
        left += take_away_disks(self._bundle, self._target.services)
        if self._supervisor is not None:
            self._supervisor.stop(NOTICED_WITHIN_S)
        if self._launcher is not None:
            self._launcher.close()
        if self._ports is not None:
            self._ports.release()
        return left

    def _fetch_states(self) -> None:
        """Bring here what services offer of their state, as far as it is elsewhere."""
        if self._launcher is None or not self._engine.is_remote or self._engine_is_gone.is_set() or self._is_fetched:
            return
        self._is_fetched = True
        for one in self._fleet.replicas.values():
            if one.definition.offers.input_log or one.definition.offers.digests:
                try:
                    self._launcher.fetch_state(one.replica)
                except NotReadyError as error:
                    self._setup.sink("note", text=f"the state of {one.name} was not fetched: {error}")

    def _lost(self, why: str) -> None:
        self._engine_is_gone.set()
        self._setup.on_lost("engine", why)

    def _supervise(self) -> Supervisor:
        if self._supervisor is None:
            self._supervisor = Supervisor(self._fleet.replicas.values())
        return self._supervisor

    def _check_health(self) -> None:
        """Raises NotReadyError where readiness is a health check that the image does not have."""
        for name, service in self._target.services.items():
            if service.ready is not None and service.ready.health and not self._images[name].health:
                image = self._images[name].name
                raise NotReadyError(
                    f"the image of {name} ({image}) has no health check; add HEALTHCHECK to it, "
                    "or use another way in `ready`: tcp, http, log, command"
                )

    def _place_all(self, launcher: ContainerLauncher, ports: Any) -> dict[tuple[str, int], SupervisedReplica]:
        found = {}
        for name, service in self._target.services.items():
            for index in range(service.replicas):
                published = {port: f"{self._host}:{next(ports)}" for port in service.ports}
                bare = place_in(self._bundle, name, index, published)
                place = with_disk(bare, service, self._bundle, self._setup.environ)
                # Whoever an image runs as: it has to write there.
                place.state_dir.chmod(0o777)
                sink, origin_ns = self._setup.sink, self._setup.origin_ns
                found[name, index] = SupervisedReplica(place, service, launcher, sink, origin_ns)
        return found

    def _inner_port(self, replica: Replica, port: str) -> int:
        return inner_port(self._target, replica, port)

    def _begin(self, replica: SupervisedReplica) -> Start:
        """Start it for the first time. Raises NotReadyError when it cannot be started here and now."""
        # Those of another machine are the engine's to look at.
        for port, address in () if self._engine.is_remote else replica.replica.ports.items():
            host, _, number = address.rpartition(":")
            if is_taken(host, int(number)):
                raise NotReadyError(
                    f"{replica.name} cannot be started: its port {port} ({address}) is in use by another program, "
                    "since a moment ago; run it again, other ports will be chosen"
                )
        return replica.begin(partial(self._command, replica), self._checks(replica))

    def _command(self, replica: SupervisedReplica, version: Version) -> Command:
        """Return what starts a version of it (see `launcher.CommandOf`)."""
        own = self._images[replica.service].id
        return command_within(replica.definition, self._inside(replica), version, own, self._engine)

    def _inside(self, replica: SupervisedReplica) -> Mapping[str, str]:
        """Return what `${...}` stands for within its container."""
        return self._fleet.values(replica.service, replica.index, sight_within(self._inner_port))

    def _checks(self, replica: SupervisedReplica) -> Any:
        ready, place = replica.definition.ready, replica.replica
        assert self._launcher is not None, "allocate() comes first"
        argv = expand((ready.command if ready else None) or (), self._inside(replica))
        numbers = {port: self._inner_port(place, port) for port in place.ports}
        return container_checks(ready, self._launcher, place, argv, numbers, remote=self._engine.is_remote)


def published_at(engine: Engine, environ: Mapping[str, str]) -> str:
    """Return the address at which the engine publishes ports, and this machine reaches them. Loopback, or the address
    of another engine's machine; CHAOSCTL_PUBLISH_AT names it where that is reached another way than the engine is.

    Raises NotReadyError.
    """
    if not engine.is_remote:
        return LOOPBACK
    host = environ.get("CHAOSCTL_PUBLISH_AT") or host_of(engine.address)
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise NotReadyError(
            f"{host} has no IPv4 address, at which the Docker Engine's machine could publish ports ({error.strerror}); "
            "name one in CHAOSCTL_PUBLISH_AT"
        ) from error
