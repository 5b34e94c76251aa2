"""Plays the steps of a plan on the clock: what undoes a fault is on disk before the fault is due, the fault comes at
its moment, its proof is looked for beside the clock, and everything is healed in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from chaosctl.clock import Clock
from chaosctl.errors import ChaosctlError
from chaosctl.experiment.kinds import Params
from chaosctl.faults.contract import Applied, Fault, Place, Proof
from chaosctl.plan.model import Plan, PlannedFault, Step
from chaosctl.safety.journal import UndoJournal
from chaosctl.safety.undo import Undo, play

# How far ahead of its moment a fault is made ready; an fsync on a busy disk takes tens of milliseconds.
AHEAD_NS = 1_000_000_000
PROVING_THREADS = 8
# A proof has 2 s (the fault contract), or what it waits for; what has not ended by then is given up.
PROOF_BOUND_S = 5.0


class Record(Protocol):
    """Where the runner writes what happens."""

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Record one event at the present moment."""
        ...


@dataclass(frozen=True)
class Readied:
    """A fault ready to be fired: its code, its place, what undoes it, and where that stands in the journal."""

    planned: PlannedFault
    fault: Fault
    params: Params
    place: Place
    undo: tuple[Undo, ...]
    journal_seq: int


@dataclass(frozen=True)
class Stage:
    """What a timeline acts on and reports to. `origin_ns` is the run's zero on the clock."""

    faults: Mapping[str, Fault]
    place_of: Callable[[PlannedFault], Place]
    set_users: Callable[[int, float], None]
    journal: UndoJournal
    record: Record
    clock: Clock
    stop: threading.Event
    origin_ns: int


class Timeline:
    """Plays one plan once."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self._plan = plan
        self._stage = stage
        self._planned = {fault.id: fault for fault in plan.faults}
        self._ready: dict[str, Future[Readied]] = {}
        self._in_force: dict[str, Readied] = {}
        self._proofs: dict[str, Future[None]] = {}
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._proving = ThreadPoolExecutor(PROVING_THREADS, thread_name_prefix="prove")

    def play(self, load_start_ns: int) -> bool:
        """Play every step at `load_start_ns` plus its time. Return False if it was stopped early."""
        clock, stop = self._stage.clock, self._stage.stop
        for at_ns, early, step in _moments(self._plan):
            if not clock.sleep_until(load_start_ns + at_ns, stop):
                return False
            if early:
                self._ready[str(step.fault)] = self._preparing.submit(self._prepare, self._planned[str(step.fault)])
            else:
                self._do(step, load_start_ns + at_ns)
        return not stop.is_set()

    def heal_all(self) -> None:
        """Heal whatever is in force, newest first. Idempotent."""
        for fault_id in reversed(list(self._in_force)):
            self._heal(fault_id)

    def finish(self) -> None:
        """Heal everything, wait for the proofs under way, and end the threads."""
        self._preparing.shutdown(wait=True)
        self.heal_all()
        # A fault made ready but never fired has nothing to undo, and the journal must say so.
        for future in self._ready.values():
            if future.exception() is None:
                self._stage.journal.done(future.result().journal_seq)
        wait(self._proofs.values(), PROOF_BOUND_S)
        self._proving.shutdown(wait=False, cancel_futures=True)

    def _do(self, step: Step, due_ns: int) -> None:
        if step.do == "inject":
            self._inject(str(step.fault), due_ns)
        elif step.do == "heal":
            self._heal(str(step.fault))
        elif step.do == "users":
            self._stage.set_users(int(step.users or 0), (step.over_ns or 0) / 1e9)
        else:
            self.heal_all()

    def _prepare(self, planned: PlannedFault) -> Readied:
        return self._readied(planned, self._stage.place_of(planned))

    def _readied(self, planned: PlannedFault, place: Place) -> Readied:
        """Put what undoes the fault at this place into the journal."""
        fault = self._stage.faults[planned.kind]
        params = fault.kind.params(**planned.params)
        undo = fault.prepare(planned.id, place, params)
        return Readied(planned, fault, params, place, undo, self._stage.journal.write(planned.id, undo))

    def _inject(self, fault_id: str, due_ns: int) -> None:
        self._stage.record("fault_requested", fault=fault_id, due_ns=due_ns - self._stage.origin_ns)
        try:
            readied = self._due(self._planned[fault_id], self._ready.pop(fault_id))
            self._in_force[fault_id] = readied
            applied = readied.fault.inject(fault_id, readied.place, readied.params, self._stage.clock.now_ns)
        except ChaosctlError as error:
            self._stage.record("fault_failed", fault=fault_id, why=str(error))
            return
        self._stage.record(
            "fault_applied",
            fault=fault_id,
            called_ns=applied.called_ns - self._stage.origin_ns,
            returned_ns=applied.returned_ns - self._stage.origin_ns,
            targets=list(applied.targets),
        )
        self._proofs[fault_id] = self._proving.submit(self._prove, readied, applied)

    def _due(self, planned: PlannedFault, ahead: Future[Readied]) -> Readied:
        """Return what was made ready ahead, if it is still what has to be done; else it is made ready anew, and its
        undo is written, before anything is changed.

        A process may have been restarted since, and a role may have gone to somebody else (or have had nobody then):
        who has it is asked again now. Raises ChaosctlError.
        """
        by_role = planned.by_role
        readied = None if by_role and ahead.exception() else ahead.result()
        try:
            place = self._resolved(planned) if by_role or readied is None else readied.place
            if readied is not None and self._still_true(readied, place):
                return readied
        except ChaosctlError:
            self._forget(readied)
            raise
        self._forget(readied)
        return self._readied(planned, place)

    def _forget(self, readied: Readied | None) -> None:
        """Say in the journal that a fault which was made ready is not going to be fired like that."""
        if readied is not None:
            self._stage.journal.done(readied.journal_seq)

    def _still_true(self, readied: Readied, place: Place) -> bool:
        undo = readied.fault.prepare(readied.planned.id, readied.place, readied.params)
        same = readied.place.processes == place.processes and readied.place.groups == place.groups
        return same and undo == readied.undo

    def _resolved(self, planned: PlannedFault) -> Place:
        place = self._stage.place_of(planned)
        self._stage.record("fault_resolved", fault=planned.id, asked=planned.on, on=place.on, said=dict(place.roles))
        return place

    def _prove(self, readied: Readied, applied: Applied) -> None:
        look = partial(readied.fault.prove, readied.planned.id, readied.place, readied.params, applied)
        self._record_proof("fault_proved", readied, look)

    def _heal(self, fault_id: str) -> None:
        readied = self._in_force.pop(fault_id, None)
        if readied is None:
            return
        called_ns = self._stage.clock.now_ns()
        played = [play(action) for action in readied.undo]
        left = [result.text for result in played if not result.done]
        try:
            readied.fault.restore(fault_id, readied.place, readied.params)
        except ChaosctlError as error:
            left.append(str(error))
        if left:
            self._stage.record("cleanup_failed", fault=fault_id, what="; ".join(left))
            return
        self._stage.journal.done(readied.journal_seq)
        if readied.planned.heal_ns is None:
            return
        origin_ns = self._stage.origin_ns
        returned_ns = self._stage.clock.now_ns()
        self._stage.record(
            "fault_healed", fault=fault_id, called_ns=called_ns - origin_ns, returned_ns=returned_ns - origin_ns
        )
        self._proofs[f"{fault_id} healed"] = self._proving.submit(self._prove_healed, readied)

    def _prove_healed(self, readied: Readied) -> None:
        look = partial(readied.fault.prove_healed, readied.planned.id, readied.place, readied.params)
        self._record_proof("fault_heal_proved", readied, look)

    def _record_proof(self, event: str, readied: Readied, look: Callable[[], Proof]) -> None:
        try:
            proof = look()
        except Exception as error:  # noqa: BLE001 - a proof that breaks proves nothing, and must not break the run
            proof = Proof(False, f"the proof itself failed: {type(error).__name__}: {error}")
        self._stage.record(event, fault=readied.planned.id, proved=proof.proved, proof=proof.text)


def _moments(plan: Plan) -> list[tuple[int, bool, Step]]:
    """Return what to do when: each inject twice, once early to make it ready and once to fire it."""
    early = [(step.at_ns - AHEAD_NS, True, step) for step in plan.steps if step.do == "inject"]
    due = [(step.at_ns, False, step) for step in plan.steps]
    return sorted(early + due, key=lambda moment: (moment[0], not moment[1]))
