"""SIGKILL: the process is gone at once, with no chance to write or to say goodbye; or another signal (signal(7)), which
a process may catch.

What the kernel already took (the page cache) survives: this is a process crash, never a power loss.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults.contract import Exit
from chaosctl.faults.ending import Ending


class KillParams(Params):
    """By which signal."""

    signal: Literal["SIGKILL", "SIGABRT", "SIGBUS", "SIGHUP", "SIGINT", "SIGQUIT", "SIGSEGV", "SIGTERM"] = Field(
        "SIGKILL", description="By which signal; a process may catch all but SIGKILL"
    )


def _is_right(exit: Exit, params: KillParams) -> bool:
    """Say whether it ended by the signal, or of itself where it could catch that."""
    return exit.signal == params.signal or (params.signal != "SIGKILL" and exit.signal is None)


FAULT = Ending(
    kind=FaultKind(
        name="kill",
        acts_on="service",
        params=KillParams,
        lasting="optional",
        dimension="life",
        takes_down="while",
        through_engine=True,
        summary="The process ends at once (SIGKILL). It stays down for `for:`, else its restart policy acts",
        example="{ at: 12s, fault: kill, on: world }",
    ),
    signal_of=lambda params: str(params.signal),
    is_right=_is_right,
)
