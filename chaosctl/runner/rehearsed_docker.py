"""How a dry run sees a target of driver docker brought up and taken down: by the driver's own parts, before what stands
in for the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from chaosctl.deploy.containers import Setting
from chaosctl.deploy.contract import ContainerNetwork, Replica
from chaosctl.deploy.fleet import end_all
from chaosctl.deploy.images import Image, found_or_built
from chaosctl.deploy.launcher import Command
from chaosctl.deploy.networks import make_network
from chaosctl.deploy.within_containers import Version, command_within, inner_port, network_name, sight_within
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Build, Ready
from chaosctl.experiment.units import format_duration
from chaosctl.runner.container_stand_ins import ContainerReplicaStandIn, Known, LauncherStandIn
from chaosctl.runner.engine_stand_in import EngineStandIn, World
from chaosctl.runner.notes import Call, Notes, Number
from chaosctl.runner.rehearsed_targets import RehearsedTarget
from chaosctl.runner.undo_words import in_one_line, undo_in_words
from chaosctl.safety.container_undo import ContainerUndo, play_on_container
from chaosctl.safety.engine import found_of, named_engine, remove_one
from chaosctl.safety.engine_address import host_of
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.undo import ContainersUndo, Undo


class RehearsedDocker(RehearsedTarget):
    """Services as containers on a network of the run's own."""

    def __init__(
        self, loaded: Loaded, start_order: Sequence[str], notes: Notes, environ: Mapping[str, str], run_id: str
    ) -> None:
        """`environ` names the engine, which is not asked anything. Raises NotReadyError for a name that is none."""
        self.engine = EngineStandIn(named_engine(environ).address, notes, World())
        self.run_id = run_id
        self._folder = loaded.folder
        published_at = environ.get("CHAOSCTL_PUBLISH_AT") or host_of(self.engine.address)
        self._host = published_at if self.engine.is_remote else LOOPBACK
        super().__init__(loaded.experiment.target, start_order, notes)
        self._launcher = LauncherStandIn(self.engine, Setting(run_id, network_name(run_id), self._inner_port))
        self._images: Mapping[str, Image] = {}
        self._gateway = ""
        self._own: dict[tuple[str, int], Command] = {}

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
            self._own[replica.service, replica.index] = own = self._command(replica, None, None, {}, None)
            self._launcher.start(replica, own)
            grace = format_duration(service.stop_within_ns)
            request = f"POST /containers/<{replica.name}>/kill?signal="
            yield from self.noted("up", replica.name, f"{request}SIGTERM, after {grace} SIGKILL; its removal")
            if service.ready is not None:
                yield Call("up", None, replica.name, readiness(service.ready, f"<{replica.name}>"))

    def ended(self) -> Iterator[Call]:
        """Yield how every container is ended, and everything of the run removed."""
        for name in reversed(self.start_order):
            those = [self._container_of(name, index) for index in range(self.services[name].replicas)]
            for one in those:
                one.stop()
            end_all(those, 0.0)
            yield from self.noted("after", name)
            grace = format_duration(self.services[name].stop_within_ns)
            late = f"to what has not ended after {grace}: POST /containers/ID/kill?signal=SIGKILL"
            yield Call("after", None, name, late)
        while found := found_of(self.engine, self.run_id, 0.0):
            for kind, thing in found:
                remove_one(self.engine, kind, thing)
        yield from self.noted("after", "services")
        yield from self.disks("after")

    # The faults.

    def stand_in(self, service: str, index: int, label: str, number: int) -> ContainerReplicaStandIn:
        """Return a new one."""
        replica = self.replica(service, index)
        if label != replica.name:
            known = Known(service, index, replica.ports, replica.state_dir, replica.log_path, label=label)
            self._launcher.know(known, replica)
            replica = known

        def command_of(
            version: str | None, run: Sequence[str] | None, env: Mapping[str, str], image: str | None
        ) -> Command:
            return self._command(replica, version, run, env, image)

        return ContainerReplicaStandIn(
            service,
            index,
            label,
            number,
            self.services[service],
            self.notes,
            replica=replica,
            launcher=self._launcher,
            own=self._own[service, index],
            command_of=command_of,
        )

    def undo(self, action: Undo) -> None:
        """Note what undoes something; what undoes a fault on a container is played on what stands in for it."""
        if not isinstance(action, ContainerUndo):
            super().undo(action)
            return
        before = len(self.notes.lines)
        container = next(one.container() for one in self._stand_ins.values() if _is(one, action.container))
        _, text = play_on_container(action, container)
        if len(self.notes.lines) == before:
            self.notes.add(text)

    def tried(self) -> AbstractContextManager[None]:
        """Let what is done meanwhile not have been done."""
        return self.engine.world.tried()

    # -- within

    def _container_of(self, service: str, index: int) -> ContainerReplicaStandIn:
        found = self.process(service, index)
        assert isinstance(found, ContainerReplicaStandIn)
        return found

    def _inner_port(self, replica: Replica, port: str) -> int:
        return inner_port(self.target, replica, port, Number)

    def _build(self, name: str, wanted: Build) -> str:
        context = Path(self._folder, wanted.context).resolve()
        self.notes.add(f"POST /build of {context}, by {wanted.dockerfile}, but for what .dockerignore says")
        return f"<image built for {name}>"

    def _command(
        self,
        replica: Replica,
        version: str | None,
        run: Sequence[str] | None,
        env: Mapping[str, str],
        image: str | None,
    ) -> Command:
        values = self.values(replica, sight_within(self._inner_port))
        own = self._images[replica.service].id
        wanted = Version(version, run, env, image)
        return command_within(self.services[replica.service], values, wanted, own, self.engine)


def readiness(ready: Ready, container: str) -> str:
    """Return when a container counts as ready."""
    if ready.command is not None:
        what = f"`{in_one_line(ready.command)}` in it exits with 0 (POST /containers/{container}/exec, again and again)"
    elif ready.health:
        what = "the engine says that it is healthy"
    elif ready.log is not None:
        what = f"its output has a line like {ready.log}"
    else:
        what = f"http {ready.http} answers" if ready.http is not None else f"port {ready.tcp} accepts"
    return f"wait until {what}, for {format_duration(ready.within_ns)}"


def _is(one: object, container: str) -> bool:
    made = one.container() if isinstance(one, ContainerReplicaStandIn) else None
    return made is not None and made.id == container
