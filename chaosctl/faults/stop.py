"""SIGTERM: the process is asked to end and may take its leave, the way of every deployment and every upgrade."""

from __future__ import annotations

from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults.ending import Ending, NoParams

FAULT = Ending(
    kind=FaultKind(
        name="stop",
        acts_on="service",
        params=NoParams,
        lasting="optional",
        dimension="life",
        takes_down="while",
        through_engine=True,
        summary="The process is asked to end (SIGTERM). It stays down for `for:`, else its restart policy acts",
        example="{ at: 12s, for: 3s, fault: stop, on: 'gateway[0]' }",
    ),
    signal="SIGTERM",
    # It exited of itself, whatever its code, or did not catch the signal; a crash on the way out is neither.
    is_right=lambda exit: exit.signal in (None, "SIGTERM"),
)
