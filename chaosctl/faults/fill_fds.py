"""No file descriptor is left: whatever a process of the replica opens or accepts fails with EMFILE ("too many open
files"), as after a leak. What it has open works on, and what it closes makes room for as many; an accept that waits
already has its number, so a server that blocks there takes one more. Nothing is opened: the soft limit (RLIMIT_NOFILE)
is set to what is in use now."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, Inside, NowNs, Place, Proof
from chaosctl.safety.descriptors import Descriptors, descriptors_of
from chaosctl.safety.inside_undo import DescriptorsUndo
from chaosctl.safety.processes import Process, running, shown
from chaosctl.safety.undo import Undo


class FillFdsParams(Params):
    """How many are left."""

    leave: int = Field(0, ge=0, le=1_000_000, description="How many each process may still open")


class FillFds:
    """A limit on each process of the replica."""

    kind = FaultKind(
        name="fill_fds",
        acts_on="service",
        params=FillFdsParams,
        lasting="always",
        dimension="descriptors",
        summary="Its processes have no free file descriptor: whatever they open or accept fails (EMFILE)",
        example="{ at: 8s, for: 4s, fault: fill_fds, on: world, leave: 2 }",
    )

    def prepare(self, fault_id: str, place: Place, params: FillFdsParams) -> tuple[Undo, ...]:
        """Return the limits that there are now. Raises NotReadyError where they cannot be read."""
        return tuple(_undo_of(processes.inside_of(process)) for process in place.processes)

    def inject(self, fault_id: str, place: Place, params: FillFdsParams, now_ns: NowNs) -> Applied:
        """Set the limits. Raises NotReadyError."""
        found = [(processes.name_of(process), processes.inside_of(process)) for process in place.processes]
        limited: list[tuple[str, Process, int]] = []
        called_ns = now_ns()
        for name, inside in found:
            limits = inside.each(partial(_limit, inside, params.leave))
            limited += [(name, one, limit) for one, limit in limits]
        targets = tuple(f"{shown(one)} of {name}" for name, one, _ in limited)
        return Applied(called_ns, now_ns(), targets, {"limited": limited})

    def prove(self, fault_id: str, place: Place, params: FillFdsParams, applied: Applied) -> Proof:
        """Read the limits and what is open: the kernel lets none of them open more than it had."""
        limited: list[tuple[str, Process, int]] = applied.memo.get("limited", [])
        seen = [(name, one, limit, _look(one)) for name, one, limit in limited]
        still_there = [(name, one, limit, has) for name, one, limit, has in seen if has is not None]
        texts = [_text(name, one, has) for name, one, _, has in still_there]
        proved = bool(still_there) and all(has.limit == limit for _, _, limit, has in still_there)
        return Proof(proved, "; ".join(texts) or "nothing that was limited is there")

    def restore(self, fault_id: str, place: Place, params: FillFdsParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: FillFdsParams) -> Proof:
        """Look at all of them: each may open more than was left."""
        seen: list[tuple[str, Process, Descriptors]] = []

        def all_may() -> bool:
            seen[:] = _look_at_all(place)
            return all(has.free > params.leave for _, _, has in seen)

        try:
            proved = processes.wait_until(all_may)
        except NotReadyError as error:
            return Proof(False, str(error))
        return Proof(proved and bool(seen), "; ".join(_text(*one) for one in seen) or "there is no process to look at")


def _undo_of(inside: Inside) -> DescriptorsUndo:
    found = inside.each(inside.descriptors)
    limits = tuple((one.pid, one.start_ticks, has.limit) for one, has in found)
    return DescriptorsUndo(inside.pid, inside.start_ticks, inside.boxed, limits)


def _limit(inside: Inside, leave: int, process: Process) -> int:
    has = inside.descriptors(process)
    limit = min(has.limit, has.limit_leaving(leave))
    inside.limit_descriptors(process, limit)
    return limit


def _look(process: Process) -> Descriptors | None:
    """Return None for what has ended, or cannot be seen."""
    try:
        return descriptors_of(process) if running(process.pid, process.start_ticks) else None
    except NotReadyError:
        return None


def _look_at_all(place: Place) -> list[tuple[str, Process, Descriptors]]:
    insides = [(processes.name_of(process), processes.inside_of(process)) for process in place.processes]
    looked = [(name, one, _look(one)) for name, inside in insides for one in inside.members()]
    return [(name, one, has) for name, one, has in looked if has is not None]


def _text(name: str, process: Process, has: Descriptors) -> str:
    return f"{name}: {shown(process)} has {len(has.numbers)} open, may open {has.free} more (limit {has.limit})"


FAULT = FillFds()
