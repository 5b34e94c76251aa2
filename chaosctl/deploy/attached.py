"""The `compose` driver with `attach`: a project that is running already. Nothing of it is brought up, made anew or
taken down; what a fault has ended runs again when the run is over, however it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.deploy.adoption import Adoption, Key, assigned, images_of
from chaosctl.deploy.compose_project import Found, find_containers, projects
from chaosctl.deploy.contract import Replica, Setup
from chaosctl.deploy.replica import SupervisedReplica
from chaosctl.errors import NotReadyError
from chaosctl.safety.container_undo import StartUndo
from chaosctl.safety.engine import local_engine
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.target_locks import TargetLocks
from chaosctl.safety.undo import Undo, play


class AttachedDriver:
    """Implements `deploy.contract.Driver`. Threads may share it; `down` may come at any moment."""

    def __init__(self, setup: Setup) -> None:
        """As `ComposeDriver`; nothing of the experiment's `folder` is needed."""
        self._target = setup.target
        self._project = setup.target.compose.project or ""
        self._run_id = setup.run_id
        self._engine = local_engine(setup.environ)
        self._adoption = Adoption(self._engine, setup, ours=False)
        self._found: dict[Key, Found] = {}
        self._replicas: tuple[Replica, ...] = ()
        self._locks: TargetLocks | None = None

    def link_listen(self, link: str, replica: int) -> str:
        """Return a free port of loopback: only bots have relays, for the project's services are told of none."""
        return f"{LOOPBACK}:0"

    def network(self) -> None:
        """Return None: the relay is on this machine, where services are led to it without being told."""

    def undo(self) -> tuple[Undo, ...]:
        """Lock the project for this run, and return what has each of its containers run again. Raises NotReadyError
        while another run acts on it, and where it is not there as the experiment says."""
        if self._locks is None:
            self._locks = TargetLocks((f"compose project {self._project} of {self._engine.address}",), self._run_id)
        self._found = self._look()
        return tuple(StartUndo(self._engine.address, one.id) for one in self._found.values())

    def images(self) -> Mapping[str, Any]:
        """Return the image of each service, with its digests."""
        return images_of(self._engine, self._found)

    def allocate(self) -> tuple[Replica, ...]:
        """Say where the replicas are. Raises NotReadyError, RecordingError."""
        if not self._replicas:
            if not self._found:
                self.undo()
            self._replicas = self._adoption.place({key: self._addresses(key, one) for key, one in self._found.items()})
            self._adoption.adopt(self._found)
        return self._replicas

    def up(self, links: Mapping[str, str]) -> None:
        """Wait until everything is ready. Raises NotReadyError."""
        self.allocate()
        self._adoption.up(links)

    def process(self, service: str, index: int) -> SupervisedReplica:
        """Return the replica's `faults.contract.ProcessControl`. Raises NotReadyError when there is none."""
        return self._adoption.fleet.process(service, index)

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for on this machine (see `Fleet.values`)."""
        return self._adoption.fleet.values(service, index)

    def down(self) -> tuple[str, ...]:
        """Leave the project as it was found; from now on another run may act on it. Idempotent.

        Return what is not as it was, a sentence each.
        """
        self._adoption.leave()
        played = [play(StartUndo(self._engine.address, one.id)) for one in self._found.values()]
        self._adoption.close()
        if self._locks is not None:
            self._locks.release()
        return tuple(f"{one.text}; `chaosctl restore` tries again" for one in played if not one.done)

    def _look(self) -> dict[Key, Found]:
        found = find_containers(self._engine, self._project)
        if not found:
            known = ", ".join(projects(self._engine)) or "none"
            mend = "start it with `docker compose up`, correct `project`, or leave `attach` out"
            raise NotReadyError(f"there is no compose project '{self._project}' to attach to, only: {known}; {mend}")
        those = assigned(self._target, found)
        for (name, index), one in those.items():
            if not one.is_up:
                text = f"{name}[{index}] of the compose project '{self._project}' is {one.status}"
                raise NotReadyError(f"{text}; start it before it is attached to: docker compose up")
        return those

    def _addresses(self, key: Key, found: Found) -> Mapping[str, str]:
        service = self._target.services[key[0]]
        return {port: found.address(service.container_ports[port]) for port in service.ports}
