"""What this machine cannot do is found out before anything is started, by trying it where it harms nobody."""

from __future__ import annotations

from collections.abc import Mapping

from chaosctl.errors import NotReadyError
from chaosctl.faults.contract import Fault
from chaosctl.plan.model import Plan


def refuse_what_lacks(plan: Plan, faults: Mapping[str, Fault]) -> None:
    """Raises NotReadyError with every fault of the plan that would not work here, and why."""
    lacking = [
        f"{kind} does not work here: {why}"
        for kind in dict.fromkeys(fault.kind for fault in plan.faults)
        if (lacks := faults[kind].kind.lacks) is not None and (why := lacks()) is not None
    ]
    if lacking:
        raise NotReadyError(f"{'; '.join(lacking)}; or leave it out")
