"""How a dry run sees targets in containers: what both drivers with containers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial

from chaosctl.deploy.fleet import end_all
from chaosctl.deploy.launcher import Command, Version
from chaosctl.experiment.model import Ready, Target
from chaosctl.experiment.units import format_duration
from chaosctl.runner.rehearsal.container_stand_ins import ContainerReplicaStandIn, Known, NotingLauncher
from chaosctl.runner.rehearsal.engine_stand_in import EngineStandIn
from chaosctl.runner.rehearsal.notes import Call, Notes
from chaosctl.runner.rehearsal.targets import RehearsedTarget
from chaosctl.runner.rehearsal.undo_words import in_one_line
from chaosctl.safety.container_undo import ContainerUndo, play_on_container
from chaosctl.safety.engine import found_of, remove_one
from chaosctl.safety.undo import Undo


class RehearsedContainers(RehearsedTarget):
    """Services in containers. `launcher` leads them; `own` is what each was started with, by service and index."""

    launcher: NotingLauncher
    kind: type[ContainerReplicaStandIn] = ContainerReplicaStandIn

    def __init__(
        self, target: Target, start_order: Sequence[str], notes: Notes, engine: EngineStandIn, run_id: str
    ) -> None:
        self.engine = engine
        self.run_id = run_id
        self.own: dict[tuple[str, int], Command] = {}
        super().__init__(target, start_order, notes)

    def command(self, service: str, index: int, version: Version) -> Command:
        """Return what starts a version of a replica (see `launcher.CommandOf`)."""
        raise NotImplementedError

    # After the load.

    def ended_in_order(self) -> Iterator[Call]:
        """Yield how every container is ended, in the reverse order of the start."""
        for name in reversed(self.start_order):
            those = [self._container_of(name, index) for index in range(self.services[name].replicas)]
            for one in those:
                one.stop()
            end_all(those, self.services[name].stop_within_ns / 1e9)
            yield from self.noted("after", name)

    def removed(self) -> Iterator[Call]:
        """Yield how everything is removed that bears the label of the run."""
        while found := found_of(self.engine, self.run_id, 0.0):
            for kind, thing in found:
                remove_one(self.engine, kind, thing)
        yield from self.noted("after", "services")

    # The faults.

    def stand_in(self, service: str, index: int, label: str, number: int) -> ContainerReplicaStandIn:
        """Return a new one."""
        replica = self.replica(service, index)
        if label != replica.name:
            known = Known(service, index, replica.ports, replica.state_dir, replica.log_path, label=label)
            self.launcher.know(known, replica)
            replica = known
        return self.kind(
            service,
            index,
            label,
            number,
            self.services[service],
            self.notes,
            replica=replica,
            launcher=self.launcher,
            own=self.own[service, index],
            command_of=partial(self.command, service, index),
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

    def _container_of(self, service: str, index: int) -> ContainerReplicaStandIn:
        found = self.process(service, index)
        assert isinstance(found, ContainerReplicaStandIn)
        return found


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
