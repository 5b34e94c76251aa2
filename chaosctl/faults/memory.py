"""Little memory: the container gets at most so much, and no swap, or a process of ours holds a part of what it has.
What it does not need is taken from it; when it needs more, the kernel ends a process of it (and its restart policy
acts)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import Share, SizeBytes
from chaosctl.faults import burning, containers, limits, processes
from chaosctl.faults.contract import Applied, Inside, NowNs, Place, Proof
from chaosctl.safety import burners, cgroups
from chaosctl.safety.undo import Undo

# Docker's own least limit.
LEAST_BYTES = 6 * 1024 * 1024
# What the kernel takes for no limit (PAGE_COUNTER_MAX in pages of 4 KiB). The engine can raise a limit, not lift it.
UNLIMITED_BYTES = 9_223_372_036_854_771_712
# The kernel counts in pages, and rounds down.
ROUNDING_BYTES = 65_536
CONTROLLERS = ("memory",)
# Where the kernel says what a group may use, and what it uses, under both versions.
LIMIT = ("memory", "memory.limit_in_bytes", "memory.max")
USED = ("memory", "memory.usage_in_bytes", "memory.current")
# What has been swapped out does not count.
HELD_AT_LEAST = 0.95


class MemoryParams(Params):
    """How much is left; at least one of them."""

    limit: SizeBytes | None = Field(
        default=None, ge=LEAST_BYTES, description="How much it gets at most, without swap: at least 6MiB"
    )
    pressure: Share | None = Field(
        default=None,
        ge=0.01,
        le=0.99,
        description="The share of its limit (this one, or the one that it has) that a process of ours holds",
    )

    @model_validator(mode="after")
    def _something(self) -> MemoryParams:
        if self.limit is None and self.pressure is None:
            raise ValueError(
                "nothing would happen; write limit, such as limit: 64MiB, or pressure, such as pressure: 80%"
            )
        return self


class Memory:
    """A limit, set by the engine, and a process that holds memory in the container's group."""

    kind = FaultKind(
        name="memory",
        acts_on="service",
        params=MemoryParams,
        lasting="always",
        dimension="memory",
        needs_containers=True,
        shared="memory",
        summary="The container gets at most so much memory and no swap, or a process of ours holds a part of it",
        example="{ at: 8s, for: 6s, fault: memory, on: world, limit: 64MiB }",
    )

    def prepare(self, fault_id: str, place: Place, params: MemoryParams) -> tuple[Undo, ...]:
        """Return the end of what holds memory, and the limits that there are now."""
        before = limits.undo_limits(place, as_before) if params.limit is not None else ()
        return (*((burning.undo_burners(fault_id, place),) if params.pressure is not None else ()), *before)

    def inject(self, fault_id: str, place: Place, params: MemoryParams, now_ns: NowNs) -> Applied:
        """Set the limits, and begin to hold. Raises NotReadyError: under version 1 also where more is in use and cannot
        be taken."""
        found, called_ns = containers.containers_of(place), now_ns()
        if params.limit is not None:
            wanted = {"Memory": params.limit, "MemorySwap": params.limit}
            limits.set_limits(place, lambda _: wanted, now_ns)
        begun = {}
        for process in place.processes if params.pressure is not None else ():
            inside = processes.inside_of(process)
            wanted_bytes = round((params.pressure or 0) * _limit_bytes(processes.name_of(process), inside))
            holding = burning.begin(fault_id, place, process, "hold", wanted_bytes, CONTROLLERS)
            begun[inside.pid] = holding.workers, wanted_bytes
        return Applied(called_ns, now_ns(), containers.targets(found), {"burners": begun})

    def prove(self, fault_id: str, place: Place, params: MemoryParams, applied: Applied) -> Proof:
        """Read what the kernel holds the main process to, and what our process holds in the same group."""
        begun = applied.memo.get("burners", {})

        def look(pid: int) -> Proof:
            limit = _look(pid, params.limit, limited=True) if params.limit is not None else Proof(True, "")
            return limit if params.pressure is None else limits.both(limit, _look_held(pid, *begun.get(pid, ((), 0))))

        return limits.prove_each(place, look)

    def restore(self, fault_id: str, place: Place, params: MemoryParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: MemoryParams) -> Proof:
        """Read it again."""
        left = burning.left(fault_id, place)
        gone = Proof(not left, "what held memory is still there" if left else "nothing of ours holds memory")

        def look(pid: int) -> Proof:
            limit = _look(pid, params.limit, limited=False) if params.limit is not None else Proof(True, "")
            return limit if params.pressure is None else limits.both(limit, gone)

        return limits.prove_each(place, look)


def as_before(host: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits of a container as the engine takes them again, from what it says of it."""
    if (limit := host.get("Memory")) and limit != UNLIMITED_BYTES:
        return {"Memory": limit, "MemorySwap": host.get("MemorySwap") or -1}
    # Version 1 counts memory and swap together and wants both raised at once; version 2 counts swap by itself.
    return {"Memory": UNLIMITED_BYTES, "MemorySwap": -1 if cgroups.has_version_2() else UNLIMITED_BYTES}


def limit_of(pid: int) -> int | None:
    """Return what the kernel holds a process's group to, None where that is nothing. Raises NotReadyError."""
    return _limit_in(cgroups.read(pid, *LIMIT))


def limit_inside(inside: Inside) -> int | None:
    """Return that of a replica. Raises NotReadyError."""
    return _limit_in(inside.group_says(*LIMIT))


def _limit_in(said: str) -> int | None:
    return int(said) if said.isdecimal() and int(said) < UNLIMITED_BYTES - ROUNDING_BYTES else None


def used_of(pid: int) -> int:
    """Return what a process's group uses. Raises NotReadyError."""
    return int(cgroups.read(pid, *USED))


def _limit_bytes(name: str, inside: Inside) -> int:
    if (limit := limit_inside(inside)) is None:
        raise NotReadyError(f"{name} has no memory limit, so there is no share of it; add `limit:` beside `pressure`")
    return limit


def _look(pid: int, wanted: int, *, limited: bool) -> Proof:
    limit = limit_of(pid)
    held = limit is not None and 0 <= wanted - limit < ROUNDING_BYTES
    return Proof(held is limited, f"process {pid} has {'no limit' if limit is None else f'a limit of {limit} bytes'}")


def _look_held(pid: int, workers: tuple[int, ...], wanted_bytes: int) -> Proof:
    held_bytes = burners.held_bytes(workers)
    strangers = [one for one in workers if cgroups.folder_of(one, "memory") != cgroups.folder_of(pid, "memory")]
    text = f"a process of ours holds {held_bytes} bytes in its group, which uses {used_of(pid)}"
    return Proof(bool(workers) and held_bytes >= HELD_AT_LEAST * wanted_bytes and not strangers, text)


FAULT = Memory()
