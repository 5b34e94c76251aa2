"""Clocks of load workers that are ahead of ours or behind: what is known about them, and times put right by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from chaosctl.recording.model import Event, History, Mark


@dataclass(frozen=True)
class WorkerClock:
    """The clock of worker `worker` of `workers` is `ahead_ns` ahead of ours, ± `uncertainty_ns`."""

    worker: int
    workers: int
    ahead_ns: int
    uncertainty_ns: int

    def put_right(self, history: History) -> History:
        """Return the history with this worker's lines on our clock.

        An operation is made longer by the ± at both ends, so that what is not known to come first counts as meanwhile.
        """
        ours = history.id % self.workers == self.worker  # the ids of a worker are `worker`, `worker + workers`, ...
        asked = np.where(history.mark == Mark.INVOKE, -self.uncertainty_ns, 0)
        answered = np.where(np.isin(history.mark, (Mark.OK, Mark.FAIL)), self.uncertainty_ns, 0)
        return replace(history, at_ns=np.where(ours, history.at_ns - self.ahead_ns + asked + answered, history.at_ns))


def worker_clocks(events: Iterable[Event]) -> tuple[WorkerClock, ...]:
    """Return what `clock_offset` events say, the last one of each worker; what is not numbers is left out."""
    known: dict[int, WorkerClock] = {}
    for event in events:
        said = [event.fields.get(name) for name in ("worker", "workers", "offset_ns", "uncertainty_ns")]
        numbers = [number for number in said if type(number) is int]
        if len(numbers) == len(said) and numbers[1] > 0 and numbers[3] >= 0:
            known[numbers[0]] = WorkerClock(*numbers)
    return tuple(known.values())
