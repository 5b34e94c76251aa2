"""How a dry run sees a compose project: brought up under a name of the run's own, or attached to.

Neither compose nor the engine is asked, so what the compose file says is not known here, and is said to be so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from chaosctl.deploy.adoption import as_it_is
from chaosctl.deploy.compose_override import Parts, members_of, names_of, override
from chaosctl.deploy.compose_parts import (
    OVERRIDE,
    Published,
    addresses_of,
    project_name,
    published_of,
    relays_of,
    states_in,
    up_words,
)
from chaosctl.deploy.compose_program import ComposeProgram, Project
from chaosctl.deploy.containers import Box
from chaosctl.deploy.contract import Replica
from chaosctl.deploy.launcher import Command, Version
from chaosctl.deploy.networks import make_network
from chaosctl.experiment.loader import Loaded
from chaosctl.runner.rehearsal.container_stand_ins import AdoptedLauncherStandIn, AdoptedReplicaStandIn
from chaosctl.runner.rehearsal.containers import RehearsedContainers, readiness
from chaosctl.runner.rehearsal.engine_stand_in import EngineStandIn, World
from chaosctl.runner.rehearsal.notes import Call, Notes, Number
from chaosctl.runner.rehearsal.undo_words import in_one_line, undo_in_words
from chaosctl.safety.engine import local_engine
from chaosctl.safety.undo import ContainersUndo

BUNDLE = Path("<bundle>")
# The plugin; 2.0.0 is the version of one that is not asked what it says.
PLUGIN = ComposeProgram(("docker", "compose"), (2, 0, 0))


class _Rehearsed(RehearsedContainers):
    """Services in containers that others make."""

    kind = AdoptedReplicaStandIn
    launcher: AdoptedLauncherStandIn
    ours = True

    def __init__(
        self, loaded: Loaded, start_order: Sequence[str], notes: Notes, environ: Mapping[str, str], run_id: str
    ) -> None:
        """`environ` names the engine, which is not asked anything. Raises NotReadyError for one that is elsewhere."""
        self.folder = loaded.folder
        engine = EngineStandIn(local_engine(environ).address, notes, World())
        super().__init__(loaded.experiment.target, start_order, notes, engine, run_id)
        boxes = {one.name: Box(f"<{one.name}>", f"<network of {one.name}>", self._own) for one in self.replicas}
        self.launcher = AdoptedLauncherStandIn(engine, self._inner_port, boxes, ours=self.ours)
        self.own = {(one.service, one.index): self._own for one in self.replicas}

    def take_up(self) -> None:
        """Have the containers that others have made by now."""
        for one in self.replicas:
            names = {"Aliases": [f"<names of {one.name} there>"]}
            self.engine.world.add_container(f"<{one.name}>", {f"<network of {one.name}>": names}, {})
            self.launcher.start(one, self._own)

    def watched(self) -> Iterator[Call]:
        """Yield when each counts as ready."""
        for one in self.replicas:
            ready = self.services[one.service].ready
            health = "wait until the engine says that it is healthy, where it has a health check, for 60s"
            yield Call("up", None, one.name, health if ready is None else readiness(ready, f"<{one.name}>"))

    def command(self, service: str, index: int, version: Version) -> Command:
        """Return what starts it: it is never made anew. Raises NotReadyError."""
        return as_it_is(version)

    @cached_property
    def _own(self) -> Command:
        return as_it_is(Version())

    def _inner_port(self, replica: Replica, port: str) -> int:
        return self.services[replica.service].container_ports[port]


class RehearsedCompose(_Rehearsed):
    """A project that is brought up."""

    def __init__(
        self, loaded: Loaded, start_order: Sequence[str], notes: Notes, environ: Mapping[str, str], run_id: str
    ) -> None:
        super().__init__(loaded, start_order, notes, environ, run_id)
        self._relays: Mapping[tuple[str, int], str] = {}

    def ports(self, name: str, index: int) -> Mapping[str, str]:
        """Return where they are published."""
        return addresses_of(self.target, self._published, name, index)

    def link_listen(self, link: str, replica: int) -> str:
        """Return where the relay listens: at the service's own port."""
        return self._relays[link, replica]

    def made(self) -> Iterator[Call]:
        """Yield how compose is asked, what is laid over its file, and how it makes everything."""
        undo = undo_in_words(ContainersUndo(self.engine.address, self.run_id), {})
        compose = in_one_line(self._project().argv(self._project().config_words()))
        yield Call("up", None, "compose", f"ask what the file says: {compose}", (undo,))
        older = "where only docker-compose is here, it is called in place of the plugin, and builds before all else"
        yield Call("up", None, "compose", f"({older})")
        look = "GET /images/NAME/json of each image that the file uses and does not build"
        yield Call("up", None, "images", look)
        self._relays = relays_of(self.target, self.run_id, lambda name: make_network(self.engine, name, self.run_id))
        yield from self.noted("up", "network")
        said = json.dumps(self._override())
        yield Call("up", None, "compose", f"write {BUNDLE / OVERRIDE}; of it, the experiment alone says: {said}")
        yield Call("up", None, "compose", in_one_line(self._whole().argv(up_words(self.target, start=False))))

    def started(self) -> Iterator[Call]:
        """Yield how compose starts everything."""
        yield Call("up", None, "compose", in_one_line(self._whole().argv(up_words(self.target, start=True))))
        self.take_up()
        yield from self.watched()

    def ended(self) -> Iterator[Call]:
        """Yield how every container is ended, and everything of the run removed."""
        yield from self.ended_in_order()
        world, that = self.engine.world, "that compose has made"
        world.add_container(f"<each other container {that}>", {}, {})
        world.networks.append(f"<each network {that}>")
        world.volumes.append(f"<each volume {that}>")
        world.images.append(f"<each image {that}>")
        yield from self.removed()

    # -- within

    @cached_property
    def _published(self) -> Published:
        members = members_of(self.target).values()
        named = (
            Number(f"<port of {one.service}[{index}].{port}>")
            for one in members
            for port in self.services[one.service].ports
            for index in one.indexes
        )
        return published_of(self.target, named)

    def _project(self, *over: Path) -> Project:
        file = (self.folder / (self.target.compose.file or "")).absolute()
        return Project(PLUGIN, project_name(self.run_id), (file, *over), {}, BUNDLE, threading.Event())

    def _whole(self) -> Project:
        return self._project(BUNDLE / OVERRIDE)

    def _override(self) -> Mapping[str, object]:
        """Return what would be laid over a file that has the services of the experiment and says nothing of them."""
        config = {"services": {name: dict[str, object]() for name in members_of(self.target)}}
        parts = Parts(
            run_id=self.run_id,
            project=project_name(self.run_id),
            takes_away=PLUGIN.takes_away,
            relays=self._relays,
            published=self._published,
            states=states_in(self.target, BUNDLE),
            names=names_of(config),
        )
        return override(config, self.target, parts)


class RehearsedAttached(_Rehearsed):
    """A project that runs already, and goes on."""

    ours = False

    def made(self) -> Iterator[Call]:
        """Yield that it is looked for, and locked."""
        project = f"the compose project {self.target.compose.project}"
        yield Call("up", None, "project", f"lock {project} of {self.engine.address} for this run", ("unlock it",))
        find = f"find the containers of {project} by compose's labels; nothing is brought up or made anew"
        yield Call("up", None, "project", find, self._started())
        self.take_up()

    def started(self) -> Iterator[Call]:
        """Yield when each counts as ready."""
        return self.watched()

    def ended(self) -> Iterator[Call]:
        """Yield that everything goes on."""
        for line in self._started():
            yield Call("after", None, "project", line)
        yield Call("after", None, "project", "unlock it; all of it is left running, as it was found")

    def _started(self) -> tuple[str, ...]:
        return tuple(f"POST /containers/<{one.name}>/start if it is down" for one in self.replicas)
