"""When the measuring side itself stood still: what was measured then says nothing about the target.

A machine that is paused, or busy with something else, stops the load generator and the probe together with the
target. Whoever waits for an answer at that moment waits for the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chaosctl.recording.facts import Window, load_window
from chaosctl.recording.model import Samples

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

# The generator's heartbeat and the probe's cadence are tens of milliseconds: this late means that nothing ran.
STOOD_STILL_NS = 100_000_000
REPORTED_EVERY_NS = 1_000_000_000


def generator_stalls(recording: Recording) -> tuple[Window, ...]:
    """Return the stretches of the load in which a load generator's heartbeat came late by 100 ms or more.

    It is reported once a second, so each stretch is that second and the lag before it.
    """
    load = load_window(recording) or (0, 0)
    late = [
        (event.at_ns, int(float(event.fields.get("lag_ms_max") or 0) * 1e6))
        for event in recording.events_named("generator")
    ]
    return tuple(
        (at_ns - REPORTED_EVERY_NS - lag_ns, at_ns)
        for at_ns, lag_ns in late
        if lag_ns >= STOOD_STILL_NS and load[0] <= at_ns <= load[1] + REPORTED_EVERY_NS
    )


def touched(samples: Samples, stalls: tuple[Window, ...]) -> npt.NDArray[np.bool_]:
    """Return which operations were due or under way in any of the stretches."""
    hit = np.zeros(len(samples), np.bool_)
    for start_ns, end_ns in stalls:
        hit |= (samples.intended_ns <= end_ns) & ((samples.end_ns >= start_ns) | (samples.end_ns < 0))
    return hit


def disturbed_questions(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return which questions of a probe were due or under way while the probe itself did not run: while one of them
    was sent 100 ms or more after it was due."""
    late = samples.sent_ns - samples.intended_ns >= STOOD_STILL_NS
    starts, ends = samples.intended_ns[late], samples.sent_ns[late]
    if not len(starts):
        return np.zeros(len(samples), np.bool_)
    # Questions are sorted by when they were due, so each meets a stall if the nearest one that starts before its end
    # ends after it was due.
    over_ns = np.where(samples.end_ns < 0, np.iinfo(np.int64).max, samples.end_ns)
    reach_ns = np.maximum.accumulate(ends)
    before = np.searchsorted(starts, over_ns, side="right") - 1
    met: npt.NDArray[np.bool_] = (before >= 0) & (reach_ns[before] >= samples.intended_ns)
    return met
