"""What undoes a fault, as data: a small vocabulary that is written to disk before the fault and played by anybody.

The runner, the keeper and `chaosctl restore` all heal through `play`, so the path that matters after a crash is the
one that every run exercises. Standard library only: the keeper must start at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SignalUndo:
    """Send `signal` (`SIGCONT`) to the process `pid`, if it is still the one that started at `start_ticks`
    (field 22 of /proc/PID/stat): a reused process id is left alone."""

    pid: int
    start_ticks: int
    signal: str
    do: Literal["signal"] = "signal"


@dataclass(frozen=True)
class HttpUndo:
    """Send a request to a relay's API. 404 counts as undone: what is gone needs no undoing."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    do: Literal["http"] = "http"


Undo = SignalUndo | HttpUndo
