"""The probe as a ruler: its answers on the grid of scheduled times, and when they became and stayed good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaosctl.recording.facts import Window
from chaosctl.recording.model import Outcome, Samples
from chaosctl.verify.measure.stalls import disturbed_questions

GOOD, BAD, MISSING = 1, 0, -1
# Errors of probes that were never sent, or given up when the probe ended: they say nothing about the target.
UNSEEN = ("skipped", "unfinished")


@dataclass(frozen=True)
class Probes:
    """Scheduled probes, one a slot: when (`at_ns`, run time), until when it was open (`done_ns`; of one that is missing
    its schedule), how it ended (GOOD, BAD, MISSING) and what it met."""

    at_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    state: npt.NDArray[np.int8]
    error: npt.NDArray[np.int32]
    errors: tuple[str, ...]

    def between(self, start_ns: int, end_ns: int) -> Probes:
        """Return the probes scheduled in [start, end)."""
        low, high = np.searchsorted(self.at_ns, (start_ns, end_ns))
        return self._slots(int(low), int(high))

    def unspoiled(self, struck_ns: int) -> Probes:
        """Return the probes without those, at the end, that were open when the next fault struck and failed then.

        They tell about that fault. If the last one that was over by then was not good, an outage was on, and they stay.
        """
        over = np.flatnonzero((self.done_ns <= struck_ns) & (self.state != MISSING))
        if not len(over) or self.state[over[-1]] != GOOD:
            return self
        failed = np.flatnonzero(self.state == BAD)
        spoiled = failed[failed > over[-1]]
        return self._slots(0, int(spoiled[0])) if len(spoiled) else self

    def _slots(self, low: int, high: int) -> Probes:
        part = slice(low, high)
        return Probes(self.at_ns[part], self.done_ns[part], self.state[part], self.error[part], self.errors)

    def met(self) -> dict[str, int]:
        """Return how many met which error: the word before the first colon."""
        codes, counts = np.unique(self.error[self.state == BAD], return_counts=True)
        met: dict[str, int] = {}
        for code, count in zip(codes, counts, strict=True):
            word = self.errors[code].split(":")[0].strip() or "wrong"
            met[word] = met.get(word, 0) + int(count)
        if missing := int((self.state == MISSING).sum()):
            met["missing"] = missing
        return met


@dataclass(frozen=True)
class Found:
    """A moment, as an index into probes: certainly not before `least`; seen at `seen`, None if it was not seen."""

    least: int
    seen: int | None


def scheduled(samples: Samples, every_ns: int, load: Window) -> Probes:
    """Lay the samples of the load on their schedule. A slot in which nothing was seen is MISSING."""
    low, high = np.searchsorted(samples.intended_ns, (load[0], load[1] + 1))
    if low == high:
        none = np.empty(0, np.int64)
        return Probes(none, none, np.empty(0, np.int8), np.empty(0, np.int32), samples.errors)
    intended_ns, errors = samples.intended_ns[low:high], samples.error[low:high]
    good = (samples.outcome[low:high] == Outcome.OK) & (samples.end_ns[low:high] >= 0)
    unseen = np.isin(errors, [code for code, error in enumerate(samples.errors) if error in UNSEEN])
    bad = ~good & ~unseen & ~disturbed_questions(samples)[low:high]
    first_ns = int(intended_ns[0])
    slot = np.rint((intended_ns - first_ns) / every_ns).astype(np.int64)
    count = max(int(slot[-1]), (load[1] - first_ns) // every_ns) + 1
    at_ns = first_ns + every_ns * np.arange(count, dtype=np.int64)
    at_ns[slot] = intended_ns
    done_ns = at_ns.copy()
    np.maximum.at(done_ns, slot, np.where(samples.end_ns < 0, np.iinfo(np.int64).max, samples.end_ns)[low:high])
    state = np.full(count, MISSING, np.int8)
    state[slot[good]] = GOOD
    state[slot[bad]] = BAD
    error = np.zeros(count, np.int32)
    error[slot[bad]] = errors[bad]
    return Probes(at_ns, done_ns, state, error, samples.errors)


def serviceable(state: npt.NDArray[np.int8], consecutive: int, *, after_error: bool) -> Found:
    """Find the first of `consecutive` probes that are all good; `after_error`: only after the first that is not.

    With `after_error` and no error at all, that is the first probe: nothing was disturbed. A MISSING probe is not good,
    and neither is one after the end; for `least` both are.
    """
    hopeful = np.concatenate([state != BAD, np.ones(consecutive, np.bool_)])
    least = _first_run(hopeful, consecutive, after_error)
    assert least is not None  # the padding is such a run
    seen = _first_run(state == GOOD, consecutive, after_error)
    return Found(min(least, len(state) if seen is None else seen), seen)


def _first_run(good: npt.NDArray[np.bool_], length: int, after_error: bool) -> int | None:
    begin = 0
    if after_error:
        if good.all():
            return 0 if len(good) else None
        begin = int(np.argmin(good))
    total = np.concatenate([[0], np.cumsum(good[begin:])])
    runs = np.flatnonzero(total[length:] - total[:-length] == length)
    return begin + int(runs[0]) if len(runs) else None


def bursts(state: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Return where each run of bad probes begins; those in between that saw nothing end none."""
    seen = np.flatnonzero(state != MISSING)
    bad = np.concatenate([[False], state[seen] == BAD])
    begins: npt.NDArray[np.int64] = seen[bad[1:] & ~bad[:-1]]
    return begins
