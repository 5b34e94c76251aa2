"""Open-loop pacing: the times at which a bot means to act, fixed before it starts.

A bot that is late does not shift them: it catches up turn by turn, and its latency counts from the intended time. The
closed loop that waits for each answer hides exactly the delays that are to be measured (coordinated omission).
"""

from __future__ import annotations

import random


class Pace:
    """A fixed cadence of `rate_per_s` from `start_ns`, with a phase drawn from `seed`. `due_ns` is the next time."""

    def __init__(self, rate_per_s: float, seed: str, start_ns: int) -> None:
        self._period_ns = 1e9 / rate_per_s
        self._first_ns = start_ns + random.Random(f"{seed}:pace").random() * self._period_ns
        self._turns = 0

    @property
    def due_ns(self) -> int:
        """When the next turn is meant to begin."""
        return round(self._first_ns + self._turns * self._period_ns)

    def take(self) -> int:
        """Return when this turn was meant to begin, and move on to the next one."""
        due_ns = self.due_ns
        self._turns += 1
        return due_ns
