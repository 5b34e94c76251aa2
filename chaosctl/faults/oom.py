"""Out of memory: the container's limit is set to what it uses, and a process of ours takes the rest, until the kernel
ends its main process for lack of memory. Then the limit is the old one again, and the restart policy acts."""

from __future__ import annotations

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults import burning, containers, limits, processes
from chaosctl.faults.contract import Applied, Container, NowNs, Place, ProcessControl, Proof
from chaosctl.faults.ending import NoParams
from chaosctl.faults.memory import CONTROLLERS, LEAST_BYTES, USED, as_before, limit_inside
from chaosctl.safety.burners import Burner
from chaosctl.safety.undo import Undo

# So much it may still take, so that setting the limit does not fail for what it uses at that moment.
MARGIN_BYTES = 8 * 1024 * 1024
ENDS_WITHIN_S = 8.0


class Oom:
    """A limit, a process that fills what is left, and the kernel's count of whom it has ended."""

    kind = FaultKind(
        name="oom",
        acts_on="service",
        params=NoParams,
        lasting="optional",
        dimension="life",
        takes_down="while",
        needs_containers=True,
        shared="memory",
        summary="The kernel ends it for lack of memory. It stays down for `for:`, else its restart policy acts",
        example="{ at: 12s, fault: oom, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: NoParams) -> tuple[Undo, ...]:
        """Return the end of what takes the memory, and the limits that there are now."""
        return burning.undo_burners(fault_id, place), *limits.undo_limits(place, as_before)

    def inject(self, fault_id: str, place: Place, params: NoParams, now_ns: NowNs) -> Applied:
        """Take the memory until the kernel has ended them all, and give the limits back. Raises NotReadyError."""
        found, before = containers.containers_of(place), processes.remember(place)
        processes.hold_down_all(place)
        for process in place.processes:
            process.expect("SIGKILL")
        undo = self.prepare(fault_id, place, params)
        called_ns = now_ns()
        try:
            filling = {
                name: _fill(fault_id, place, process, container)
                for process, (name, container) in zip(place.processes, found, strict=True)
            }
            counts = {name: _count(name, one) for name, one in filling.items()}
        finally:
            # Without the limit it starts as ever; should this fail, the heal or the keeper plays it again.
            left = [played.text for played in map(place.play, undo) if not played.done]
        if left:
            raise NotReadyError("; ".join(left))
        return Applied(called_ns, now_ns(), processes.targets(before), {"processes": before, "counts": counts})

    def prove(self, fault_id: str, place: Place, params: NoParams, applied: Applied) -> Proof:
        """Ask the parent how they ended, and say what the kernel counted."""
        fates = processes.judge_fates(processes.fates(place, applied), lambda exit: exit.signal == "SIGKILL")
        counts = applied.memo.get("counts", {})
        text = "; ".join(f"{name}: the kernel ended {count} for lack of memory" for name, count in counts.items())
        return limits.both(fates, Proof(bool(counts) and all(counts.values()), text))

    def restore(self, fault_id: str, place: Place, params: NoParams) -> None:
        """Start what was held down. Raises NotReadyError."""
        processes.release_all(place)

    def prove_healed(self, fault_id: str, place: Place, params: NoParams) -> Proof:
        """Look whether every replica runs again."""
        return processes.prove_up(place)


def _fill(fault_id: str, place: Place, process: ProcessControl, container: Container) -> Burner:
    inside = processes.inside_of(process)
    own = limit_inside(inside)
    limit = max(LEAST_BYTES, int(inside.group_says(*USED)) + MARGIN_BYTES)
    if own is None or limit < own:
        container.set_limits({"Memory": limit, "MemorySwap": limit})
    fill_bytes = limit if own is None else min(own, limit)
    return burning.begin(fault_id, place, process, "fill", fill_bytes, CONTROLLERS)


def _count(name: str, filling: Burner) -> int:
    """Wait for its end; return how many the kernel has ended."""
    said = filling.says(ENDS_WITHIN_S)
    if said[:1] != ["ended"]:
        raise NotReadyError(f"{name} still ran {ENDS_WITHIN_S:g} s after its memory was taken")
    return int(said[1])


FAULT = Oom()
