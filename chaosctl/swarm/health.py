"""Whether this process keeps up with the load that it is to make: how late it wakes, and how much of a core it uses."""

from __future__ import annotations

import time
from typing import Any

import gevent

from chaosctl.swarm.recorder import percentile

BEAT_NS = 20_000_000


class Health:
    """A heartbeat that measures by how much it is late: by so much is every bot late, too."""

    def __init__(self) -> None:
        self._lags_ms: list[float] = []
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()

    def beat(self) -> None:
        """Beat for ever (a greenlet)."""
        due_ns = time.monotonic_ns()
        while True:
            due_ns += BEAT_NS
            gevent.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
            late_ns = time.monotonic_ns() - due_ns
            self._lags_ms.append(late_ns / 1e6)
            if late_ns > BEAT_NS:  # one stall is one late beat, not many
                due_ns += late_ns

    def take(self) -> dict[str, Any]:
        """Return lag and share of a core since the last call."""
        lags_ms, self._lags_ms = self._lags_ms, []
        wall_s, cpu_s = time.monotonic(), time.process_time()
        share = (cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-9)
        self._wall_s, self._cpu_s = wall_s, cpu_s
        return {
            "lag_ms_p99": percentile(lags_ms, 99) or 0.0,
            "lag_ms_max": round(max(lags_ms, default=0.0), 3),
            "cpu_share": round(share, 3),
        }
