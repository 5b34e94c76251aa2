"""A dry run: every call that a run would make, in order, from the plan and the faults' own code. Nothing is started.

Stand-ins: `RUN` for the run's id, `http://<relay>` for the relay's address, `<world[0].main>` for a port of a replica,
`<world[0].state>` for its folder, `<gateway-world.0>` for the listener of a link, `<world[0]>` for a container. What is
only asked or looked at is left out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from chaosctl.errors import ChaosctlError
from chaosctl.experiment.groups import REST, Groups
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.places import parse_on
from chaosctl.experiment.units import format_duration
from chaosctl.faults.contract import Fault, Place
from chaosctl.plan.model import Plan, PlannedFault
from chaosctl.runner.links import LinkProxy, link_addresses, open_links, parted, wires_of
from chaosctl.runner.rehearsal.compose import RehearsedAttached, RehearsedCompose
from chaosctl.runner.rehearsal.docker import RehearsedDocker
from chaosctl.runner.rehearsal.notes import Call, Notes
from chaosctl.runner.rehearsal.relays import RehearsedRelay
from chaosctl.runner.rehearsal.stand_ins import DeskStandIn
from chaosctl.runner.rehearsal.targets import RehearsedElsewhere, RehearsedTarget
from chaosctl.runner.relays import WantedRelay
from chaosctl.runner.roles import Answers, RoleAnswer
from chaosctl.safety.undo import Played, Undo

RUN_ID = "RUN"
# What a fault does beside the clock ends at once here.
BESIDE_WITHIN_S = 10.0


def rehearse(
    loaded: Loaded,
    plan: Plan,
    faults: Mapping[str, Fault],
    relay: WantedRelay | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Call, ...]:
    """Return every call of a run of this plan with that relay; `environ` names the engine. Raises NotReadyError for an
    engine's address that is not understood."""
    rehearsal = _Rehearsal(loaded, plan, faults, relay or WantedRelay(), environ)
    return (*rehearsal.up(), *rehearsal.load(), *rehearsal.after())


def _target(loaded: Loaded, plan: Plan, notes: Notes, environ: Mapping[str, str]) -> RehearsedTarget:
    target = loaded.experiment.target
    if target.driver == "docker":
        return RehearsedDocker(loaded, plan.start_order, notes, environ, RUN_ID)
    if target.driver == "compose":
        composed = RehearsedAttached if target.compose.attach else RehearsedCompose
        return composed(loaded, plan.start_order, notes, environ, RUN_ID)
    kind = RehearsedElsewhere if target.driver == "external" else RehearsedTarget
    return kind(target, plan.start_order, notes)


@contextmanager
def _what_is_beside_it() -> Iterator[None]:
    """Wait for the threads that a fault has begun: what it does beside the clock is part of it."""
    before, end_s = set(threading.enumerate()), time.monotonic() + BESIDE_WITHIN_S
    yield
    while (begun := set(threading.enumerate()) - before) and time.monotonic() < end_s:
        for thread in begun:
            if thread.ident is not None:  # or it is only just being started
                thread.join(BESIDE_WITHIN_S)


class _Rehearsal:
    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        faults: Mapping[str, Fault],
        relay: WantedRelay,
        environ: Mapping[str, str],
    ) -> None:
        self._experiment = loaded.experiment
        self._services = loaded.experiment.target.services
        self._plan = plan
        self._faults = faults
        self._notes = Notes()
        self._target = _target(loaded, plan, self._notes, environ)
        self._relay = RehearsedRelay(relay, plan, self._target, RUN_ID)
        self._links: tuple[LinkProxy, ...] = ()
        self._in_force: dict[str, tuple[PlannedFault, Place, tuple[Undo, ...]]] = {}

    # Before the load.

    def up(self) -> Iterator[Call]:
        """Yield what brings everything up, in the order of `runner.run`."""
        yield Call("up", None, "keeper", "start: it heals and ends everything if chaosctl is gone")
        yield from self._target.made()
        yield from self._relay.started()
        self._links = open_links(self._plan, self._relay.wiring, self._relay.relay, RUN_ID)
        self._target.links = link_addresses(self._links)
        yield from self._relay.opened()
        yield from self._target.started()
        yield Call("up", None, "swarm", f"start with {len(self._plan.bots)} bots over {self._plan.bots_link}")
        every = format_duration(self._plan.probe_every_ns)
        yield Call("up", None, "probe", f"start: asks over {self._plan.probe_link} every {every}")

    # The load and the faults.

    def load(self) -> Iterator[Call]:
        """Yield every step of the plan."""
        planned = {fault.id: fault for fault in self._plan.faults}
        for condition in self._experiment.stop_when:
            yield Call("load", 0, "stop_when", f"from now on: {condition}")
        for step in self._plan.steps:
            if step.do == "users":
                over = f" over {format_duration(step.over_ns)}" if step.over_ns else ""
                yield Call("load", step.at_ns, "swarm", f"{step.users} users{over}")
            elif step.do == "inject":
                yield from self._inject(planned[str(step.fault)], step.at_ns)
            else:
                ids = [str(step.fault)] if step.do == "heal" else list(reversed(self._in_force))
                for fault_id in ids:
                    yield from self._heal(fault_id, step.at_ns)

    def _inject(self, planned: PlannedFault, at_ns: int) -> Iterator[Call]:
        fault, undo, failed = self._faults[planned.kind], tuple[Undo, ...](), ""
        params = fault.kind.params(**planned.params)
        try:
            place = self._place_of(planned)
            undo = fault.prepare(planned.id, place, params)
            # As in a run: what fails in the middle is healed.
            self._in_force[planned.id] = planned, place, undo
            with _what_is_beside_it():
                fault.inject(planned.id, place, params, lambda: at_ns)
        except ChaosctlError as error:
            failed = f"fails: {error}"
        lines = (*self._notes.take(), *filter(None, (failed,)))
        with self._target.tried():
            undoing = self._undone(undo)
        for number, line in enumerate(lines):
            yield Call("load", at_ns, planned.id, line, undoing if number == 0 else ())

    def _undone(self, undo: tuple[Undo, ...]) -> tuple[str, ...]:
        for action in undo:
            self._target.undo(action)
        return self._notes.take()

    def _play(self, action: Undo) -> Played:
        """Note what a fault undoes at once."""
        self._target.undo(action)
        return Played(action, True, "")

    def _heal(self, fault_id: str, at_ns: int) -> Iterator[Call]:
        if fault_id not in self._in_force:
            return
        planned, place, undo = self._in_force.pop(fault_id)
        lines = self._undone(undo)
        fault = self._faults[planned.kind]
        try:
            with _what_is_beside_it():
                fault.restore(fault_id, place, fault.kind.params(**planned.params))
        except ChaosctlError as error:
            self._notes.add(f"fails: {error}")
        for line in (*lines, *self._notes.take()):
            yield Call("load", at_ns, f"{fault_id} heals", line)

    def _place_of(self, planned: PlannedFault) -> Place:
        """As `runner.links.place_of`, but nobody can be asked for a role."""
        on, held = parse_on(planned.on), planned.heal_ns is not None
        if planned.acts_on == "link":
            chosen = tuple(
                p for p in self._links if p.planned.link == on.name and on.cohort in (None, p.planned.cohort)
            )
            wires = () if chosen else wires_of(self._target.target, on.name, self._target.process)
            return Place(planned.on, chosen, held=held, wires=wires)
        if groups := planned.params.get("groups"):
            process, ask = self._target.process, self._taken_roles(groups)
            return parted(planned, groups, self._target.target, self._links, process, ask)
        indexes = on.replicas if on.replicas is not None else range(self._services[on.name].replicas)
        labels = [(0, f"the {planned.on}")] if on.role else [(index, f"{on.name}[{index}]") for index in indexes]
        processes = tuple(self._target.process(on.name, index, label) for index, label in labels)
        desks = tuple(self._desk(on.name, index, label) for index, label in labels)
        return Place(planned.on, processes=processes, desks=desks, held=held, run_id=RUN_ID, play=self._play)

    def _taken_roles(self, groups: Groups) -> Callable[[str], Answers]:
        """Return what stands for asking replicas for their roles: the first one has the first that is named, and so on.
        That is noted, for a run may find others."""
        named = [parse_on(text) for group in groups for text in group if text != REST]

        def ask(service: str) -> Answers:
            roles = list(dict.fromkeys(str(on.role) for on in named if on.name == service and on.role))
            every = next((str(on.role) for on in named if on.name == service and on.role and on.every), "none of these")
            count = self._services[service].replicas
            answers = {index: RoleAnswer((roles + [every] * count)[index]) for index in range(count)}
            taken = ", ".join(f"{service}[{index}] {role}" for index, role in enumerate(roles))
            self._notes.add(f"ask every replica of {service} for its role; taken here: {taken}")
            return answers

        return ask

    def _desk(self, service: str, index: int, label: str) -> DeskStandIn:
        return DeskStandIn(label, self._target.values(self._target.replica(service, index)), self._notes)

    # After the load.

    def after(self) -> Iterator[Call]:
        """Yield how it is looked at what is left, and how everything is ended."""
        within = format_duration(self._experiment.swarm.audit_within_ns)
        yield Call("after", None, "swarm", f"end the load, then every bot reads back what it was promised, in {within}")
        if (digests := self._plan.objectives.get("same_digest")) is not None:
            for name in (name for name, service in self._services.items() if service.offers.digest is not None):
                done = " and ".join(digests["after"])
                yield Call("after", None, name, f"ask for its digest before and after each of: {done}")
        for name in ("probe", "swarm"):
            yield Call("after", None, name, "end")
        yield from self._target.ended()
        if (replays := self._plan.objectives.get("replay")) is not None:
            for name in (name for name, service in self._services.items() if service.offers.replay is not None):
                perturbed = f", and under {', '.join(replays['perturb'])}" if replays.get("perturb") else ""
                yield Call("after", None, name, f"replay its input log {replays['runs']} times{perturbed}")
        yield from self._relay.ended()
        yield Call("after", None, "keeper", "end")
