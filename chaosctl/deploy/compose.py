"""The `compose` driver: a compose file, unchanged, brought up under a project name of the run's own.

What the run needs is laid over it by an override file, which is kept in the bundle (see `compose_override`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from chaosctl.deploy.adoption import Adoption, Key, assigned, images_of
from chaosctl.deploy.compose_override import Parts, as_yaml, images_needed, names_of, override, wrong_with
from chaosctl.deploy.compose_parts import (
    OVERRIDE,
    Published,
    addresses_of,
    project_name,
    published_of,
    relays_of,
    rows_of,
    states_in,
    up_words,
)
from chaosctl.deploy.compose_program import ComposeProgram, Project, find_compose
from chaosctl.deploy.compose_project import Found, find_containers
from chaosctl.deploy.contract import Replica, Setup
from chaosctl.deploy.images import look_up
from chaosctl.deploy.networks import make_network
from chaosctl.deploy.replica import SupervisedReplica
from chaosctl.errors import NotReadyError, RecordingError
from chaosctl.safety.engine import local_engine
from chaosctl.safety.ports import ReservedPorts, reserve_rows
from chaosctl.safety.undo import ContainersUndo, Undo, play

# Images are built in it, and those that are not here are pulled.
_MADE_WITHIN_S = 1800.0
# Services wait in it for those that they depend on, to be healthy or to end.
_UP_WITHIN_S = 300.0


class ComposeDriver:
    """Implements `deploy.contract.Driver`. Threads may share it; `down` may come at any moment."""

    def __init__(self, setup: Setup) -> None:
        """As `DockerDriver`; `on_lost` is also told of containers that somebody else has removed."""
        self._target = setup.target
        self._file = (setup.folder / (setup.target.compose.file or "")).absolute()
        self._bundle = setup.bundle
        self._run_id = setup.run_id
        self._sink = setup.sink
        self._engine = local_engine(setup.environ)
        # The engine that is asked here, whatever docker's own client is set to.
        self._environ = {**setup.environ, "DOCKER_HOST": f"unix://{self._engine.address}"}
        self._abort = setup.abort
        self._adoption = Adoption(self._engine, setup, ours=True)
        self._made: dict[Key, Found] = {}
        self._replicas: tuple[Replica, ...] = ()
        self._relays: Mapping[tuple[str, int], str] = {}
        self._ports: ReservedPorts | None = None
        self._published: Published = {}

    def link_listen(self, link: str, replica: int) -> str:
        """Return where the relay listens: at the service's own port, so that its clients need not be told."""
        return self._relays[link, replica]

    def network(self) -> None:
        """Return None: the relay is on this machine, where services are led to it without being told."""

    def undo(self) -> tuple[Undo, ...]:
        """Return what removes everything of the run by its label. Raises NotReadyError where no engine answers."""
        self._engine.ask("GET", "/version")
        return (ContainersUndo(self._engine.address, self._run_id),)

    def images(self) -> Mapping[str, Any]:
        """Return the image of each service, with its digests; known after `allocate`."""
        return images_of(self._engine, self._made)

    def allocate(self) -> tuple[Replica, ...]:
        """Make everything that the file says, and start nothing. Raises NotReadyError, RecordingError."""
        if not self._made:
            config = self._project(self._file).config()
            if wrong := next(wrong_with(config, self._target, self._program.takes_away), None):
                raise NotReadyError(f"{self._file}: {wrong}")
            for image in images_needed(config):
                look_up(self._engine, image)
            self._write_override(config)
            whole = self._project(self._file, self._bundle / OVERRIDE)
            if not self._program.is_plugin:
                whole.build(_MADE_WITHIN_S)
            whole.up(up_words(self._target, start=False), _MADE_WITHIN_S)
            self._made = assigned(self._target, find_containers(self._engine, self._name))
            self._replicas = self._adoption.place(
                {key: addresses_of(self._target, self._published, *key) for key in self._made}
            )
        return self._replicas

    def up(self, links: Mapping[str, str]) -> None:
        """Have compose start it all, and wait until each service is ready. Raises NotReadyError."""
        self.allocate()
        self._project(self._file, self._bundle / OVERRIDE).up(up_words(self._target, start=True), _UP_WITHIN_S)
        # Compose starts the replicas of a service at once: which of them was given which port is known only now.
        self._adoption.adopt(assigned(self._target, find_containers(self._engine, self._name), _lowest_port))
        self._adoption.up(links)

    def process(self, service: str, index: int) -> SupervisedReplica:
        """Return the replica's `faults.contract.ProcessControl`. Raises NotReadyError when there is none."""
        return self._adoption.fleet.process(service, index)

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for on this machine: published ports, the folder that is mounted."""
        return self._adoption.fleet.values(service, index)

    def down(self) -> tuple[str, ...]:
        """TERM, then KILL, in the reverse order of the start; then remove everything of the run. Idempotent.

        Return what could not be ended or removed, a sentence each.
        """
        self._adoption.leave()
        self._adoption.end()
        removed = play(ContainersUndo(self._engine.address, self._run_id))
        self._adoption.close()
        if self._ports is not None:
            self._ports.release()
        return () if removed.done else (f"{removed.text}; `chaosctl restore` removes what is left",)

    # -- within

    @cached_property
    def _program(self) -> ComposeProgram:
        return find_compose(self._environ)

    @property
    def _name(self) -> str:
        return project_name(self._run_id)

    def _project(self, *files: Path) -> Project:
        log_path = self._bundle / "logs" / "compose.log"
        return Project(self._program, self._name, files, self._environ, log_path, self._abort)

    def _write_override(self, config: Mapping[str, Any]) -> None:
        """Make the networks where relays listen, choose ports, and write what is laid over the file."""
        run_id = self._run_id
        self._relays = relays_of(self._target, run_id, lambda name: make_network(self._engine, name, run_id))
        self._ports = reserve_rows(tuple(count for _, _, count in rows_of(self._target)))
        self._published = published_of(self._target, self._ports.numbers)
        states = states_in(self._target, self._bundle)
        parts = Parts(
            run_id=self._run_id,
            project=self._name,
            takes_away=self._program.takes_away,
            relays=self._relays,
            published=self._published,
            states=states,
            names=names_of(config),
        )
        path = self._bundle / OVERRIDE
        try:
            for folder in states.values():
                folder.mkdir(parents=True, exist_ok=True)
            path.write_text(as_yaml(override(config, self._target, parts)))
        except OSError as error:
            raise RecordingError(f"{path} cannot be written ({error.strerror}); see what is wrong there") from error
        version = ".".join(map(str, self._program.version))
        self._sink("note", text=f"compose {version} brings up {self._file}, with {path} laid over it")


def _lowest_port(found: Found) -> int:
    """Return what orders the replicas of a service: the numbers that they are published at, which are in a row."""
    numbers = [int(address.rpartition(":")[2]) for address in found.published.values()]
    return min(numbers, default=found.number)
