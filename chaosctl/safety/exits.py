"""How a process ended, as its parent saw it."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Exit:
    """How a process ended: `code` or `signal` (a name such as SIGKILL), and when (monotonic ns)."""

    at_ns: int
    code: int | None
    signal: str | None

    def __str__(self) -> str:
        """Return `with code 3` or `by SIGKILL`."""
        return f"by {self.signal}" if self.signal else f"with code {self.code}"


@dataclass(frozen=True)
class ExitNotice:
    """The end of the process `pid` that the keeper had started under `name`."""

    name: str
    pid: int
    exit: Exit


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9, and `SIG40` for a number that has no name (real-time signals)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
