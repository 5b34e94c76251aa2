"""SIGKILL: the process is gone at once, with no chance to write or to say goodbye.

What the kernel already took (the page cache) survives: this is a process crash, never a power loss.
"""

from __future__ import annotations

from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults.ending import Ending, NoParams

FAULT = Ending(
    kind=FaultKind(
        name="kill",
        acts_on="service",
        params=NoParams,
        lasting="optional",
        dimension="life",
        takes_down="while",
        through_engine=True,
        summary="The process ends at once (SIGKILL). It stays down for `for:`, else its restart policy acts",
        example="{ at: 12s, fault: kill, on: world }",
    ),
    signal="SIGKILL",
    is_right=lambda exit: exit.signal == "SIGKILL",
)
