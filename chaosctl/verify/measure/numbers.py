"""Numbers of services over time: how steep, how fast, how unequal, how great. Pure.

Each way of measuring returns what was measured, or in words why nothing was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chaosctl.recording.facts import Window
from chaosctl.verify.estimate import Z_95, quantile, standard_error

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

Float64 = npt.NDArray[np.float64]

# More samples of one process than this are thinned evenly: their slopes by pairs would not fit into memory.
MOST_SAMPLES = 1500
_PARTS_PER_MILLION = 1_000_000
# They are asked twice a second; some need longer to answer, and are not asked again meanwhile.
_SILENCE_NS = 3_000_000_000


@dataclass(frozen=True)
class Sample:
    """What one replica said of one number. `round` is the same for all replicas that were asked together; `span` is
    the number of the stretch that it lies in; `pid` names the process, 0 where none is known."""

    at_ns: int
    round: int
    replica: int
    pid: int
    value: float
    span: int


@dataclass(frozen=True)
class Seen:
    """The samples of one number within the stretches, by time; how often it was asked for there; all its replicas.

    `unheard` replicas answered less than half of the times that they were asked, or nothing for more than half of the
    time (in silences of more than 3 s).
    """

    samples: tuple[Sample, ...]
    asked: int
    replicas: frozenset[int]
    unheard: tuple[int, ...] = ()

    @property
    def answered(self) -> int:
        """How often it was answered."""
        return len(self.samples)


@dataclass(frozen=True)
class Measured:
    """A number, the interval to judge it by, half of the interval to show, how it was found, and some samples."""

    value: float
    low: float
    high: float
    half_width: float
    how: str
    shown: tuple[Sample, ...]


def seen(recording: Recording, service: str, number: str, spans: Sequence[Window]) -> Seen:
    """Return what the service's replicas said of the number within the stretches."""
    asked, samples = Counter[int](), list[Sample]()
    replicas = set()
    for event in recording.events_named("metrics"):
        fields = event.fields
        if fields.get("service") != service:
            continue
        replica = int(fields.get("replica", 0))
        replicas.add(replica)
        span = next((at for at, (start, end) in enumerate(spans) if start <= event.at_ns <= end), None)
        if span is None:
            continue
        asked[replica] += 1
        values = fields.get("values")
        value = values.get(number) if isinstance(values, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            pid, turn = int(fields.get("pid") or 0), int(fields.get("round") or 0)
            samples.append(Sample(event.at_ns, turn, replica, pid, float(value), span))
    samples.sort(key=lambda one: one.at_ns)
    unheard = []
    length_ns = sum(end - start for start, end in spans)
    for replica in sorted(replicas):
        answers = [one.at_ns for one in samples if one.replica == replica]
        if 2 * len(answers) < asked[replica] or 2 * _silent_ns(answers, spans) > length_ns:
            unheard.append(replica)
    return Seen(tuple(samples), asked.total(), frozenset(replicas), tuple(unheard))


def _silent_ns(answers_ns: Sequence[int], spans: Sequence[Window]) -> int:
    """Return for how long nothing was answered within the stretches, in silences that are long enough to count."""
    silent_ns = 0
    for start, end in spans:
        moments = [start, *(at for at in answers_ns if start <= at <= end), end]
        silent_ns += sum(gap for gap in (b - a for a, b in pairwise(moments)) if gap > _SILENCE_NS)
    return silent_ns


def growth(seen: Seen) -> Measured | str:
    """Return the steepest slope of the replicas, a second."""
    slopes = [_slope(samples) for samples in _by_replica(seen)]
    found = [slope for slope in slopes if slope is not None]
    if len(found) < max(1, len(slopes)):
        return "there are too few samples of one process to tell a slope; it takes six"
    steepest = max(found, key=lambda slope: slope.low)
    # Judged by the steepest at each end: one replica that surely grows too fast fails it, all must surely not.
    return Measured(
        steepest.value, steepest.low, max(slope.high for slope in found), steepest.half_width, steepest.how,
        steepest.shown,
    )  # fmt: skip


def _slope(samples: Sequence[Sample]) -> Measured | None:
    """Return the Theil-Sen slope of the samples within each process, pooled; None if they are too few.

    The median of the slopes of all pairs (Sen 1968); its 95 % interval is between the order statistics
    (N ± z sqrt(var)) / 2 with var = sum of n (n - 1) (2 n + 5) / 18 over the processes, as for a seasonal slope
    (Gilbert, Statistical Methods for Environmental Pollution Monitoring, 16.5 and 17.3).
    """
    lives = [_thinned([one for one in samples if one.pid == pid]) for pid in dict.fromkeys(one.pid for one in samples)]
    slopes = np.sort(np.concatenate([_pair_slopes(life) for life in lives])) if lives else np.empty(0)
    variance = sum(n * (n - 1) * (2 * n + 5) / 18 for n in map(len, lives))
    margin = Z_95 * math.sqrt(variance)
    first, last = math.floor((len(slopes) - margin) / 2) - 1, math.ceil((len(slopes) + margin) / 2)
    if first < 0 or last >= len(slopes):
        return None
    value, low, high = float(np.median(slopes)), float(slopes[first]), float(slopes[last])
    how = f"slope of {len(samples)} samples, {len(lives)} {'process' if len(lives) == 1 else 'processes'}"
    longest = max(lives, key=len)
    return Measured(value, low, high, max(high - value, value - low), how, (longest[0], longest[-1]))


def _thinned(life: Sequence[Sample]) -> Sequence[Sample]:
    return life[:: math.ceil(len(life) / MOST_SAMPLES)] if life else life


def _pair_slopes(life: Sequence[Sample]) -> Float64:
    at_s = np.array([one.at_ns / 1e9 for one in life])
    values = np.array([one.value for one in life])
    first, second = np.triu_indices(len(life), 1)
    apart_s = at_s[second] - at_s[first]
    slopes: Float64 = (values[second] - values[first])[apart_s > 0] / apart_s[apart_s > 0]
    return slopes


def rate(seen: Seen) -> Measured | str:
    """Return what the counter rises by, a second, all replicas together."""
    if any(one.value < 0 for one in seen.samples):
        return "it was less than nothing, so it is no counter"
    total, variance, shown = 0.0, 0.0, []
    for samples in _by_replica(seen):
        steps = [step for pair in pairwise(samples) if (step := _step(*pair)) is not None]
        if len(steps) < 2:
            return "there are too few samples of one stretch to tell a rate; it takes three"
        total += sum(rose for rose, _ in steps) / sum(took_s for _, took_s in steps)
        variance += standard_error([rose / took_s for rose, took_s in steps]) ** 2
        shown += [samples[0], samples[-1]]
    if not shown:
        return "nobody said it"
    how = "mean over the time between the samples, ± 95 % from its variation"
    return Measured(total, total, total, Z_95 * math.sqrt(variance), how, tuple(shown[:10]))


def _step(one: Sample, other: Sample) -> tuple[float, float] | None:
    """Return by how much it rose, and in how many seconds; None over a gap between two stretches."""
    if one.span != other.span or other.at_ns <= one.at_ns:
        return None
    again = one.pid != other.pid or other.value < one.value
    return (other.value if again else other.value - one.value), (other.at_ns - one.at_ns) / 1e9


def spread(seen: Seen) -> Measured | str:
    """Return the median over the rounds in which all replicas answered of (greatest - least) / mean."""
    if len(seen.replicas) < 2:
        return "there is nothing to compare with fewer than two replicas"
    if any(one.value < 0 for one in seen.samples):
        return "it was less than nothing, and such have no share of their mean"
    rounds = [list(group) for _, group in groupby(sorted(seen.samples, key=_round), key=_round)]
    whole = [group for group in rounds if {one.replica for one in group} == seen.replicas]
    shares = [_unequal([one.value for one in group]) for group in whole if any(one.value for one in group)]
    if len(shares) < 3:
        return "in fewer than three samples did all replicas say more than nothing"
    ppm = np.array([round(share * _PARTS_PER_MILLION) for share in shares], np.int64)
    estimate = quantile(ppm, np.empty(0, np.int64), 0.5)
    value, half_width = estimate.least / _PARTS_PER_MILLION, estimate.half_width / _PARTS_PER_MILLION
    how = f"median of {len(shares)} samples of {len(seen.replicas)} replicas"
    return Measured(value, value, value, half_width, how, tuple(whole[-1]))


def _round(one: Sample) -> int:
    return one.round


def _unequal(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / (sum(values) / len(values))


def greatest(seen: Seen) -> Measured | str:
    """Return the greatest value that any replica said."""
    if not seen.samples:
        return "nobody said it"
    most = max(seen.samples, key=lambda one: one.value)
    return Measured(most.value, most.value, most.value, 0.0, f"greatest of {seen.answered} samples", (most,))


def _by_replica(seen: Seen) -> Iterable[list[Sample]]:
    """Yield the samples of each replica by time; of one that never answered, none."""
    for replica in sorted(seen.replicas):
        yield [one for one in seen.samples if one.replica == replica]
