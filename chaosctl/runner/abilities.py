"""What this machine cannot do is found out before anything is started, by trying it where it harms nobody."""

from __future__ import annotations

from collections.abc import Mapping

from chaosctl.errors import NotReadyError
from chaosctl.faults.contract import Fault
from chaosctl.plan.model import Plan


def refuse_what_lacks(plan: Plan, faults: Mapping[str, Fault], driver: str) -> None:
    """Raises NotReadyError with every fault of the plan that would not work here, and why."""
    lacking = []
    for kind in dict.fromkeys(fault.kind for fault in plan.faults):
        asked = (faults[kind].kind.lacks, faults[kind].kind.process_lacks if driver == "process" else None)
        lacking += [f"{kind} does not work here: {why}" for lacks in asked if lacks and (why := lacks())]
    if lacking:
        raise NotReadyError(f"{'; '.join(lacking)}; or leave it out")
