"""SIGSTOP until SIGCONT: the process holds its connections and says nothing, like a machine that swaps or a long
garbage collection. Only the main process is stopped; children that it forked go on."""

from __future__ import annotations

from contextlib import suppress

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, NowNs, Place, Proof
from chaosctl.safety.undo import SignalUndo, Undo


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
        summary="The process is frozen (SIGSTOP) and goes on (SIGCONT) at the heal",
        example="{ at: 8s, for: 2s, fault: pause, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: PauseParams) -> tuple[Undo, ...]:
        """Return a SIGCONT for each process that is there now."""
        undo = []
        for process in place.processes:
            pid, start_ticks = process.pid(), process.start_ticks()
            if pid is not None and start_ticks is not None:
                undo.append(SignalUndo(pid, start_ticks, "SIGCONT"))
        return tuple(undo)

    def inject(self, fault_id: str, place: Place, params: PauseParams, now_ns: NowNs) -> Applied:
        """Freeze. Raises NotReadyError where there is no process."""
        return processes.signal_all(place, "SIGSTOP", now_ns)

    def prove(self, fault_id: str, place: Place, params: PauseParams, applied: Applied) -> Proof:
        """Read the kernel's word: every thread of the process is in state T (proc(5))."""
        before = [(one["name"], one["pid"]) for one in applied.memo["processes"]]
        processes.wait_until(lambda: all(_is_stopped(pid) for _, pid in before))
        texts = [f"{name}: process {pid} {'is stopped' if _is_stopped(pid) else 'runs'}" for name, pid in before]
        proved = bool(before) and all(_is_stopped(pid) for _, pid in before)
        return Proof(proved, "; ".join(texts) or "there is no process to look at")

    def restore(self, fault_id: str, place: Place, params: PauseParams) -> None:
        """Let everything go on: a replica that was restarted after `prepare` is not in the undo."""
        for process in place.processes:
            # One that ended in the meantime has nothing to go on with; one that runs does not mind.
            with suppress(NotReadyError):
                process.signal("SIGCONT")

    def prove_healed(self, fault_id: str, place: Place, params: PauseParams) -> Proof:
        """Look whether every replica runs again."""
        return processes.prove_up(place)


def _is_stopped(pid: int) -> bool:
    states = processes.thread_states(pid)
    return bool(states) and states <= processes.STOPPED


FAULT = Pause()
