"""A crash: SIGKILL to the main process from this machine, so that whoever watches over it sees an end of its own accord
and the restart policy acts. What the kernel already took survives: a process crash, never a power loss.

`kill` of a container goes through the engine, which takes that for the operator's wish.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, NowNs, Place
from chaosctl.faults.ending import Ending, NoParams


@dataclass(frozen=True)
class Crash(Ending):
    """End every replica from this machine; the restart policies are left to act."""

    def inject(self, fault_id: str, place: Place, params: NoParams, now_ns: NowNs) -> Applied:
        """Send it. Raises NotReadyError where there is no process, or where this user may not."""
        before = processes.remember(place)
        called_ns = now_ns()
        for process in place.processes:
            process.crash()
        return Applied(called_ns, now_ns(), processes.targets(before), {"processes": before})


FAULT = Crash(
    kind=FaultKind(
        name="crash",
        acts_on="service",
        params=NoParams,
        lasting="never",
        dimension="life",
        takes_down="while",
        needs_restart=True,
        summary="SIGKILL from this machine, past a container's engine: the service's restart policy acts",
        example="{ at: 12s, fault: crash, on: world }",
    ),
    signal_of=lambda _: "SIGKILL",
    is_right=lambda exit, _: exit.signal == "SIGKILL",
)
