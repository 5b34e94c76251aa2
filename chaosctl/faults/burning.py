"""What the faults with burners share: beginning them beside each replica, and what ends them.

They end with the heal (found by their mark), with the process that they are there for, with the run (they carry its
label) and with chaosctl (their standard input is a pipe that nobody else holds).
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosctl.faults import processes
from chaosctl.faults.contract import Place, ProcessControl
from chaosctl.safety.burner_undo import BurnersUndo
from chaosctl.safety.burners import Burner
from chaosctl.safety.label import burners_of


def mark_of(fault_id: str, place: Place) -> str:
    """Return what the burners of a fault are found by."""
    return f"{place.run_id}:{fault_id}"


def undo_burners(fault_id: str, place: Place) -> BurnersUndo:
    """Return what ends them all."""
    return BurnersUndo(mark_of(fault_id, place))


def begin(
    fault_id: str, place: Place, process: ProcessControl, what: str, amount: int, controllers: Sequence[str]
) -> Burner:
    """Start one beside the main process of a replica (see `safety.burners`). Raises NotReadyError."""
    return processes.inside_of(process).burn(mark_of(fault_id, place), place.run_id, what, amount, controllers)


def left(fault_id: str, place: Place) -> int:
    """Return how many burners of the fault run."""
    return len(burners_of(mark_of(fault_id, place)))
