"""How a dry run sees a target of driver docker brought up and taken down: by the driver's own parts, before what stands
in for the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chaosctl.deploy.containers import Setting
from chaosctl.deploy.contract import ContainerNetwork, Replica
from chaosctl.deploy.images import Image, found_or_built
from chaosctl.deploy.launcher import Command, Version
from chaosctl.deploy.networks import make_network
from chaosctl.deploy.within_containers import command_within, inner_port, network_name, sight_within
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Build
from chaosctl.experiment.units import format_duration
from chaosctl.runner.rehearsal.container_stand_ins import LauncherStandIn
from chaosctl.runner.rehearsal.containers import RehearsedContainers, readiness
from chaosctl.runner.rehearsal.engine_stand_in import EngineStandIn, World
from chaosctl.runner.rehearsal.notes import Call, Notes, Number
from chaosctl.runner.rehearsal.undo_words import undo_in_words
from chaosctl.safety.engine import named_engine
from chaosctl.safety.engine_address import host_of
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.undo import ContainersUndo


class RehearsedDocker(RehearsedContainers):
    """Services as containers on a network of the run's own."""

    def __init__(
        self, loaded: Loaded, start_order: Sequence[str], notes: Notes, environ: Mapping[str, str], run_id: str
    ) -> None:
        """`environ` names the engine, which is not asked anything. Raises NotReadyError for a name that is none."""
        engine = EngineStandIn(named_engine(environ).address, notes, World())
        self._folder = loaded.folder
        published_at = environ.get("CHAOSCTL_PUBLISH_AT") or host_of(engine.address)
        self._host = published_at if engine.is_remote else LOOPBACK
        super().__init__(loaded.experiment.target, start_order, notes, engine, run_id)
        self.launcher = LauncherStandIn(self.engine, Setting(run_id, network_name(run_id), self._inner_port))
        self._images: Mapping[str, Image] = {}
        self._gateway = ""

    def ports(self, name: str, index: int) -> Mapping[str, str]:
        """Return where they are published."""
        return {port: f"{self._host}:<port of {name}[{index}].{port}>" for port in self.services[name].ports}

    def link_listen(self, link: str, replica: int) -> str:
        """Return where containers reach this machine."""
        return f"{self._gateway}:0"

    def network(self) -> ContainerNetwork:
        """Return the run's network."""
        sight = sight_within(self._inner_port)
        return ContainerNetwork(
            self.engine,
            network_name(self.run_id),
            self._host,
            lambda service, index, port: sight.other(self.replica(service, index), port),
        )

    def made(self) -> Iterator[Call]:
        """Yield the images, the network and the disks."""
        self._images = found_or_built(self.engine, self.services, self._build)
        undo = ContainersUndo(self.engine.address, self.run_id)
        yield from self.noted("up", "images", undo_in_words(undo, {}))
        self._gateway = make_network(self.engine, network_name(self.run_id), self.run_id)
        yield from self.noted("up", "network")
        yield from self.disks("up")

    def started(self) -> Iterator[Call]:
        """Yield how every container is made and started."""
        for replica in self.replicas:
            service = self.services[replica.service]
            own = self.command(replica.service, replica.index, Version())
            self.own[replica.service, replica.index] = own
            self.launcher.start(replica, own)
            grace = format_duration(service.stop_within_ns)
            request = f"POST /containers/<{replica.name}>/kill?signal="
            yield from self.noted("up", replica.name, f"{request}SIGTERM, after {grace} SIGKILL; its removal")
            if service.ready is not None:
                yield Call("up", None, replica.name, readiness(service.ready, f"<{replica.name}>"))

    def ended(self) -> Iterator[Call]:
        """Yield how every container is ended, and everything of the run removed."""
        yield from self.ended_in_order()
        yield from self.removed()
        yield from self.disks("after")

    def command(self, service: str, index: int, version: Version) -> Command:
        """Return what starts a version of it."""
        values = self.values(self.replica(service, index), sight_within(self._inner_port))
        own = self._images[service].id
        return command_within(self.services[service], values, version, own, self.engine)

    # -- within

    def _inner_port(self, replica: Replica, port: str) -> int:
        return inner_port(self.target, replica, port, Number)

    def _build(self, name: str, wanted: Build) -> str:
        context = Path(self._folder, wanted.context).resolve()
        self.notes.add(f"POST /build of {context}, by {wanted.dockerfile}, but for what .dockerignore says")
        return f"<image built for {name}>"
