"""Little processor time: the container gets at most so much of it (CFS bandwidth, sched-bwc.rst), like a neighbour who
takes the rest. It answers, but in bursts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import limits
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety import cgroups
from chaosctl.safety.undo import Undo

PERIOD_US = 100_000
UNLIMITED_US = -1


class CpuParams(Params):
    """How much is left."""

    cores: float = Field(ge=0.01, le=1024, description="How many cores' time it gets at most: 0.2")


class Cpu:
    """A quota, set by the engine."""

    kind = FaultKind(
        name="cpu",
        acts_on="service",
        params=CpuParams,
        lasting="always",
        dimension="cpu",
        needs_containers=True,
        summary="The container gets at most so much processor time (the kernel's quota)",
        example="{ at: 8s, for: 6s, fault: cpu, on: world, cores: 0.2 }",
    )

    def prepare(self, fault_id: str, place: Place, params: CpuParams) -> tuple[Undo, ...]:
        """Return the quotas that there are now."""
        return limits.undo_limits(place, _as_before)

    def inject(self, fault_id: str, place: Place, params: CpuParams, now_ns: NowNs) -> Applied:
        """Set the quotas. Raises NotReadyError."""
        return limits.set_limits(place, {"CpuPeriod": PERIOD_US, "CpuQuota": _quota_us(params)}, now_ns)

    def prove(self, fault_id: str, place: Place, params: CpuParams, applied: Applied) -> Proof:
        """Read what the kernel holds the main process to."""
        return limits.prove_each(place, lambda pid: _look(pid, params, limited=True))

    def restore(self, fault_id: str, place: Place, params: CpuParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: CpuParams) -> Proof:
        """Read it again."""
        return limits.prove_each(place, lambda pid: _look(pid, params, limited=False))


def _quota_us(params: CpuParams) -> int:
    return round(params.cores * PERIOD_US)


def _as_before(host: Mapping[str, Any]) -> dict[str, int]:
    return {"CpuPeriod": host.get("CpuPeriod") or PERIOD_US, "CpuQuota": host.get("CpuQuota") or UNLIMITED_US}


def _look(pid: int, params: CpuParams, *, limited: bool) -> Proof:
    # Version 2 says `20000 100000`, or `max 100000`.
    said = cgroups.read(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    held = said == str(_quota_us(params))
    text = "no quota" if said in ("max", str(UNLIMITED_US)) else f"a quota of {said} µs in {PERIOD_US} µs"
    return Proof(held is limited, f"process {pid} has {text}")


FAULT = Cpu()
