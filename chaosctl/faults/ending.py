"""What `kill` and `stop` share: a signal that ends the main process of each replica."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, Exit, NowNs, Place, Proof
from chaosctl.safety.undo import Undo


class NoParams(Params):
    """There is nothing to choose."""


@dataclass(frozen=True)
class Ending:
    """End every replica with a signal; `is_right` says whether a process ended in the way that this fault means."""

    kind: FaultKind
    signal_of: Callable[[Any], str]
    is_right: Callable[[Exit, Any], bool]

    def prepare(self, fault_id: str, place: Place, params: Any) -> tuple[Undo, ...]:
        """Return nothing: what ended is brought back by `restore`, or by its restart policy."""
        return ()

    def inject(self, fault_id: str, place: Place, params: Any, now_ns: NowNs) -> Applied:
        """Send the signal. Raises NotReadyError where there is no process."""
        processes.hold_down_all(place)
        return processes.signal_all(place, self.signal_of(params), now_ns)

    def prove(self, fault_id: str, place: Place, params: Any, applied: Applied) -> Proof:
        """Ask the parent how the processes that were there ended."""
        return processes.judge_fates(processes.fates(place, applied), lambda exit: self.is_right(exit, params))

    def restore(self, fault_id: str, place: Place, params: Any) -> None:
        """Start what was held down. Raises NotReadyError."""
        processes.release_all(place)

    def prove_healed(self, fault_id: str, place: Place, params: Any) -> Proof:
        """Look whether every replica runs again."""
        return processes.prove_up(place)
