"""Little memory: the container gets at most so much, and no swap. What it does not need is taken from it; when it needs
more, the kernel ends a process of it (and its restart policy acts)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import SizeBytes
from chaosctl.faults import limits
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety import cgroups
from chaosctl.safety.undo import Undo

# Docker's own least limit.
LEAST_BYTES = 6 * 1024 * 1024
# What the kernel takes for no limit (PAGE_COUNTER_MAX in pages of 4 KiB). The engine can raise a limit, not lift it.
UNLIMITED_BYTES = 9_223_372_036_854_771_712


class MemoryParams(Params):
    """How much is left."""

    limit: SizeBytes = Field(ge=LEAST_BYTES, description="How much it gets at most, without swap: at least 6MiB")


class Memory:
    """A limit, set by the engine."""

    kind = FaultKind(
        name="memory",
        acts_on="service",
        params=MemoryParams,
        lasting="always",
        dimension="memory",
        needs_containers=True,
        summary="The container gets at most so much memory and no swap; if it needs more, the kernel ends a process",
        example="{ at: 8s, for: 6s, fault: memory, on: world, limit: 64MiB }",
    )

    def prepare(self, fault_id: str, place: Place, params: MemoryParams) -> tuple[Undo, ...]:
        """Return the limits that there are now."""
        return limits.undo_limits(place, _as_before)

    def inject(self, fault_id: str, place: Place, params: MemoryParams, now_ns: NowNs) -> Applied:
        """Set the limits. Raises NotReadyError: under version 1 also where more is in use and cannot be taken."""
        return limits.set_limits(place, {"Memory": params.limit, "MemorySwap": params.limit}, now_ns)

    def prove(self, fault_id: str, place: Place, params: MemoryParams, applied: Applied) -> Proof:
        """Read what the kernel holds the main process to."""
        return limits.prove_each(place, lambda pid: _look(pid, params, limited=True))

    def restore(self, fault_id: str, place: Place, params: MemoryParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: MemoryParams) -> Proof:
        """Read it again."""
        return limits.prove_each(place, lambda pid: _look(pid, params, limited=False))


def _as_before(host: Mapping[str, Any]) -> dict[str, int]:
    if (limit := host.get("Memory")) and limit != UNLIMITED_BYTES:
        return {"Memory": limit, "MemorySwap": host.get("MemorySwap") or -1}
    # Version 1 counts memory and swap together and wants both raised at once; version 2 counts swap by itself.
    return {"Memory": UNLIMITED_BYTES, "MemorySwap": -1 if cgroups.has_version_2() else UNLIMITED_BYTES}


def _look(pid: int, params: MemoryParams, *, limited: bool) -> Proof:
    said = cgroups.read(pid, "memory", "memory.limit_in_bytes", "memory.max")
    # The kernel counts in pages, and rounds down.
    held = said.isdecimal() and 0 <= params.limit - int(said) < 65_536
    text = "no limit" if said in ("max", str(UNLIMITED_BYTES)) else f"a limit of {said} bytes"
    return Proof(held is limited, f"process {pid} has {text}")


FAULT = Memory()
