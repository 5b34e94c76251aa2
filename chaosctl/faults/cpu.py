"""Little processor time: the replica gets at most so much of it (CFS bandwidth, sched-bwc.rst), or has to share what it
gets with burners, like a neighbour who takes the rest. It answers, but in bursts. A container has a control group of
its own; for a process the fault makes one, and takes it away again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import burning, limits, processes
from chaosctl.faults.contract import Applied, NowNs, Place, ProcessControl, Proof
from chaosctl.safety import burners, cgroups, own_group
from chaosctl.safety.own_group import GroupUndo, OwnGroup
from chaosctl.safety.undo import Undo

PERIOD_US = 100_000
UNLIMITED_US = -1
CONTROLLERS = ("cpu", "cpuset")
# Burners are looked at for so long, and have to have had some processor time in it.
LOOK_S = 0.3
NANO_PER_CORE = 1_000_000_000


class CpuParams(Params):
    """How much is left; at least one of them."""

    cores: float | None = Field(default=None, ge=0.01, le=1024, description="How many cores' time it gets at most: 0.2")
    burners: int | None = Field(
        default=None, ge=1, le=64, description="So many processes of ours compete with it in its control group"
    )

    @model_validator(mode="after")
    def _something(self) -> CpuParams:
        if self.cores is None and self.burners is None:
            raise ValueError("nothing would happen; write cores, such as cores: 0.2, or burners, such as burners: 2")
        return self


class Cpu:
    """A quota, set by the engine or in a control group of our own, and burners in the replica's group."""

    kind = FaultKind(
        name="cpu",
        acts_on="service",
        params=CpuParams,
        lasting="always",
        dimension="cpu",
        process_lacks=lambda: own_group.lacks("cpu", "cpu.max" if cgroups.has_version_2() else "cpu.cfs_quota_us"),
        summary="The replica gets at most so much processor time (the kernel's quota), or shares it with burners",
        example="{ at: 8s, for: 6s, fault: cpu, on: world, cores: 0.2 }",
    )

    def prepare(self, fault_id: str, place: Place, params: CpuParams) -> tuple[Undo, ...]:
        """Return the end of its burners, and the quotas that there are now."""
        undo: list[Undo] = [] if params.burners is None else [burning.undo_burners(fault_id, place)]
        if params.cores is not None and _boxed(place):
            undo += limits.undo_limits(place, _as_before)
        elif params.cores is not None:
            groups = (_own_group(fault_id, place, process) for process in place.processes)
            undo += (GroupUndo(group.folder, group.back) for group in groups)
        return tuple(undo)

    def inject(self, fault_id: str, place: Place, params: CpuParams, now_ns: NowNs) -> Applied:
        """Set the quotas, and begin to burn. Raises NotReadyError."""
        before, called_ns = processes.remember(place), now_ns()
        if params.cores is not None:
            self._limit(fault_id, place, params.cores, now_ns)
        begun = {}
        for process in place.processes if params.burners is not None else ():
            begun_burner = burning.begin(fault_id, place, process, "cpu", params.burners or 0, CONTROLLERS)
            begun[process.pid()] = begun_burner.workers
        return Applied(called_ns, now_ns(), processes.targets(before), {"burners": begun})

    def _limit(self, fault_id: str, place: Place, cores: float, now_ns: NowNs) -> None:
        if _boxed(place):
            limits.set_limits(place, lambda host: _wanted(host, cores), now_ns)
            return
        for process in place.processes:
            processes.inside_of(process).regroup(_own_group(fault_id, place, process), _files(cores))

    def prove(self, fault_id: str, place: Place, params: CpuParams, applied: Applied) -> Proof:
        """Read what the kernel holds the main process to, and what time the burners get in the same group."""
        begun = applied.memo.get("burners", {})

        def look(pid: int) -> Proof:
            quota = _look(pid, params.cores, limited=True) if params.cores is not None else Proof(True, "")
            return quota if params.burners is None else limits.both(quota, _look_burning(pid, begun.get(pid, ())))

        return limits.prove_each(place, look)

    def restore(self, fault_id: str, place: Place, params: CpuParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: CpuParams) -> Proof:
        """Read it again."""
        left = burning.left(fault_id, place)
        gone = Proof(not left, f"{left} burners are left" if left else "no burner is left")

        def look(pid: int) -> Proof:
            quota = Proof(True, "")
            if params.cores is not None:
                quota = _look(pid, params.cores, limited=False) if _boxed(place) else _look_back(pid)
            return quota if params.burners is None else limits.both(quota, gone)

        return limits.prove_each(place, look)


def _boxed(place: Place) -> bool:
    return all(process.container() is not None for process in place.processes)


def _own_group(fault_id: str, place: Place, process: ProcessControl) -> OwnGroup:
    mark = f"{place.run_id} {fault_id} {processes.name_of(process)}"
    return processes.inside_of(process).own_group("cpu", hashlib.sha256(mark.encode()).hexdigest()[:16])


def _files(cores: float) -> dict[str, str]:
    """Return a quota by the files of a group."""
    if cgroups.has_version_2():
        return {"cpu.max": f"{_quota_us(cores)} {PERIOD_US}"}
    return {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(_quota_us(cores))}


def _look_back(pid: int) -> Proof:
    group = cgroups.folder_of(pid, "cpu")
    return Proof(not own_group.is_ours(group), f"process {pid} is in the control group {group}")


def _quota_us(cores: float) -> int:
    return round(cores * PERIOD_US)


def _wanted(host: Mapping[str, Any], cores: float) -> dict[str, int]:
    # The engine refuses a quota where the limit was given in cores (`cpus: 0.5`), and makes the same quota of those.
    if host.get("NanoCpus"):
        return {"NanoCpus": _quota_us(cores) * NANO_PER_CORE // PERIOD_US}
    return {"CpuPeriod": PERIOD_US, "CpuQuota": _quota_us(cores)}


def _as_before(host: Mapping[str, Any]) -> dict[str, int]:
    if host.get("NanoCpus"):
        return {"NanoCpus": int(host["NanoCpus"])}
    return {"CpuPeriod": host.get("CpuPeriod") or PERIOD_US, "CpuQuota": host.get("CpuQuota") or UNLIMITED_US}


def _look(pid: int, cores: float, *, limited: bool) -> Proof:
    # Version 2 says `20000 100000`, or `max 100000`.
    said = cgroups.read(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0]
    held = said == str(_quota_us(cores))
    text = "no quota" if said in ("max", str(UNLIMITED_US)) else f"a quota of {said} µs in {PERIOD_US} µs"
    return Proof(held is limited, f"process {pid} has {text}")


def _look_burning(pid: int, workers: tuple[int, ...]) -> Proof:
    before_s = burners.used_s(workers)
    time.sleep(LOOK_S)
    used_s = burners.used_s(workers) - before_s
    strangers = [one for one in workers if cgroups.folder_of(one, "cpu") != cgroups.folder_of(pid, "cpu")]
    text = f"{len(workers)} burners in its group had {used_s:.2f} s of processor time in {LOOK_S:g} s"
    return Proof(bool(workers) and used_s > 0 and not strangers, text)


FAULT = Cpu()
