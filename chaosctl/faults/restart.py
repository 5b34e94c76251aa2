"""SIGTERM and started again at once, whatever the restart policy: what a deployment of the same version does."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import DurationNs
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, NowNs, Place, ProcessControl, Proof
from chaosctl.safety.undo import Undo


class RestartParams(Params):
    """How long it may take its leave."""

    grace_ns: DurationNs = Field(
        1_000_000_000, alias="grace", le=60_000_000_000, description="From SIGTERM to SIGKILL for what does not end"
    )


class Restart:
    """End and start the main process of each replica; all are asked to end before the first is waited for."""

    kind = FaultKind(
        name="restart",
        acts_on="service",
        params=RestartParams,
        lasting="never",
        dimension="life",
        takes_down="moment",
        through_engine=True,
        summary="The process is asked to end (SIGTERM, after `grace` SIGKILL) and is started again at once",
        example="{ at: 10s, fault: restart, on: ledger, grace: 2s }",
    )

    def prepare(self, fault_id: str, place: Place, params: RestartParams) -> tuple[Undo, ...]:
        """Return nothing: a restart undoes itself."""
        return ()

    def inject(self, fault_id: str, place: Place, params: RestartParams, now_ns: NowNs) -> Applied:
        """Ask all of them to end; what follows needs up to `grace`, and the clock must not wait for it.

        Raises NotReadyError.
        """
        before = processes.remember(place)
        called_ns = now_ns()
        try:
            for process in place.processes:
                process.hold_down()
                process.signal("SIGTERM")
        except NotReadyError:
            _release(place)
            raise
        finish = threading.Thread(target=_start_again, args=(place, before, params.grace_ns), daemon=True)
        finish.start()
        targets = tuple(f"{one['name']} (process {one['pid']})" for one in before)
        return Applied(called_ns, now_ns(), targets, {"processes": before})

    def prove(self, fault_id: str, place: Place, params: RestartParams, applied: Applied) -> Proof:
        """Look whether the old processes ended and others run in their places, once they had their `grace`."""
        before = applied.memo["processes"]
        pairs = list(zip(place.processes, before, strict=True))
        within_s = params.grace_ns / 1e9 + processes.KILLED_WITHIN_S
        processes.wait_until(lambda: all(_is_new(process, one) for process, one in pairs), within_s)
        texts = [
            f"{one['name']}: process {one['pid']} "
            + (f"gave way to {process.pid()}" if _is_new(process, one) else "did not give way to another that runs")
            for process, one in pairs
        ]
        proved = bool(pairs) and all(_is_new(process, one) for process, one in pairs)
        return Proof(proved, "; ".join(texts) or "there is no process to look at")

    def restore(self, fault_id: str, place: Place, params: RestartParams) -> None:
        """Do nothing: `inject` has started them again."""

    def prove_healed(self, fault_id: str, place: Place, params: RestartParams) -> Proof:
        """Look whether every replica runs."""
        return processes.prove_up(place)


def _start_again(place: Place, before: Sequence[Mapping[str, Any]], grace_ns: int) -> None:
    """End each and start all. What does not end stays unproved."""
    processes.kill_after(place, before, grace_ns)
    _release(place)


def _release(place: Place) -> None:
    for process in place.processes:
        process.release()


def _is_new(process: ProcessControl, before: dict[str, object]) -> bool:
    identity = (process.pid(), process.start_ticks())
    return identity != (before["pid"], before["start_ticks"]) and processes.is_up(process)


FAULT = Restart()
