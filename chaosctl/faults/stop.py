"""SIGTERM: the process is asked to end and may take its leave, the way of every deployment and every upgrade."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import DurationNs
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, Exit, NowNs, Place, Proof
from chaosctl.faults.ending import Ending


class StopParams(Params):
    """How long it may take its leave."""

    grace_ns: DurationNs | None = Field(
        None,
        alias="grace",
        le=60_000_000_000,
        description="From SIGTERM to SIGKILL for what does not end; left out: it may take as long as it likes",
    )


@dataclass(frozen=True)
class Stop(Ending):
    """Ask every replica to end, and see to it after the grace."""

    def inject(self, fault_id: str, place: Place, params: StopParams, now_ns: NowNs) -> Applied:
        """Ask them; the clock does not wait for the grace. Raises NotReadyError where there is no process."""
        applied = super().inject(fault_id, place, params, now_ns)
        if params.grace_ns is not None:
            late = (place, applied.memo["processes"], params.grace_ns)
            threading.Thread(target=processes.kill_after, args=late, daemon=True).start()
        return applied

    def prove(self, fault_id: str, place: Place, params: StopParams, applied: Applied) -> Proof:
        """Ask the parent how the processes that were there ended, once they had their grace."""
        within_s = None if params.grace_ns is None else params.grace_ns / 1e9 + processes.KILLED_WITHIN_S
        fates = processes.fates(place, applied, within_s)
        return processes.judge_fates(fates, lambda exit: self.is_right(exit, params))


def _is_right(exit: Exit, params: StopParams) -> bool:
    """Say whether it exited of itself, whatever its code, or did not catch the signal; a crash on the way out is
    neither, and SIGKILL only what the grace allows."""
    return exit.signal in (None, "SIGTERM") or (params.grace_ns is not None and exit.signal == "SIGKILL")


FAULT = Stop(
    kind=FaultKind(
        name="stop",
        acts_on="service",
        params=StopParams,
        lasting="optional",
        dimension="life",
        takes_down="while",
        through_engine=True,
        summary="The process is asked to end (SIGTERM). It stays down for `for:`, else its restart policy acts",
        example="{ at: 12s, for: 3s, fault: stop, on: 'gateway[0]', grace: 1s }",
    ),
    signal_of=lambda _: "SIGTERM",
    is_right=_is_right,
)
