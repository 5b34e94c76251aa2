"""Frozen until the heal: the process holds its connections and says nothing, like a machine that swaps or a long
garbage collection. Of a process only the main one is stopped (SIGSTOP), children that it forked go on; of a container
all are (the engine's pause)."""

from __future__ import annotations

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety.undo import Undo


class PauseParams(Params):
    """None."""


class Pause:
    """Freeze the main process of each replica."""

    kind = FaultKind(
        name="pause",
        acts_on="service",
        params=PauseParams,
        lasting="always",
        dimension="life",
        takes_down="while",
        through_engine=True,
        summary="The process is frozen (SIGSTOP; a container: the engine's pause) and goes on at the heal",
        example="{ at: 8s, for: 2s, fault: pause, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: PauseParams) -> tuple[Undo, ...]:
        """Return what lets each process go on that is there now."""
        return tuple(action for process in place.processes for action in process.thawing())

    def inject(self, fault_id: str, place: Place, params: PauseParams, now_ns: NowNs) -> Applied:
        """Freeze. Raises NotReadyError where there is no process."""
        before = processes.remember(place)
        called_ns = now_ns()
        for process in place.processes:
            process.freeze()
        return Applied(called_ns, now_ns(), processes.targets(before), {"processes": before})

    def prove(self, fault_id: str, place: Place, params: PauseParams, applied: Applied) -> Proof:
        """Read the word of the kernel or the engine."""
        processes.wait_until(lambda: all(process.frozen() for process in place.processes))
        frozen = [process.frozen() for process in place.processes]
        before = applied.memo["processes"]
        texts = [
            f"{one['name']}: process {one['pid']} {'is stopped' if is_so else 'runs'}"
            for one, is_so in zip(before, frozen, strict=True)
        ]
        return Proof(bool(frozen) and all(frozen), "; ".join(texts) or "there is no process to look at")

    def restore(self, fault_id: str, place: Place, params: PauseParams) -> None:
        """Let everything go on: a replica that was restarted after `prepare` is not in the undo."""
        for process in place.processes:
            process.thaw()

    def prove_healed(self, fault_id: str, place: Place, params: PauseParams) -> Proof:
        """Look whether every replica runs again."""
        return processes.prove_up(place)


FAULT = Pause()
