"""Estimates with their uncertainty: order statistics, shares, rates. Small pure formulas over plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaosctl.recording.facts import Window
from chaosctl.verify.contract import Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from chaosctl.recording.model import Samples

# 97.5 % point of the normal distribution: two-sided 95 % intervals.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class QuantileEstimate:
    """A quantile: its least possible and greatest possible value (None: unbounded), and the half-width of its
    95 % confidence interval. The two differ only where censored values could move it."""

    least: float
    most: float | None
    half_width: float


def quantile(seen: npt.NDArray[np.int64], at_least: npt.NDArray[np.int64], q: float) -> QuantileEstimate:
    """Estimate the `q`-quantile of values of which some are known only to be `at_least` so much.

    The estimate is the order statistic of rank ceil(q n). Its interval is the distribution-free one between the order
    statistics n q ± z sqrt(n q (1 - q)) (David and Nagaraja, Order Statistics, 7.1, normal approximation).
    """
    import numpy as np

    n = len(seen) + len(at_least)
    values = np.concatenate([seen, at_least])
    rank = min(max(math.ceil(q * n), 1), n) - 1
    spread = Z_95 * math.sqrt(n * q * (1 - q))
    low, high = max(math.floor(q * n - spread), 1) - 1, min(math.ceil(q * n + spread) + 1, n) - 1
    values.partition(sorted({low, rank, high}))
    least = float(values[rank])
    half_width = max(float(values[high]) - least, least - float(values[low])) if q < 1 else 0.0
    if not (at_least <= least).any():
        return QuantileEstimate(least, least, half_width)
    if rank >= len(seen):
        return QuantileEstimate(least, None, half_width)
    return QuantileEstimate(least, float(np.partition(seen, rank)[rank]), half_width)


def wilson_half_width(hits: int, n: int) -> float:
    """Return half the width of the 95 % Wilson score interval of hits/n (Wilson 1927); 1.0 for n = 0."""
    if n == 0:
        return 1.0
    share = hits / n
    return Z_95 / (1 + Z_95**2 / n) * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean; infinite for fewer than two values."""
    n = len(values)
    if n < 2:
        return math.inf
    mean = sum(values) / n
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)


# An operation that had waited for longer than this when a fault struck had met trouble before.
UNDER_WAY_NS = 1_000_000_000


def inside(
    samples: Samples, spans: Sequence[Window], strikes: Sequence[int], cohort: str | None, operation: str | None
) -> npt.NDArray[np.int64]:
    """Return the indices of the operations intended within `spans`, of one cohort and one operation if named.

    What was under way when a stretch ended by one of `strikes`, and had been for less than 1 s, is left out: it tells
    about what struck, and not about the stretch.
    """
    import numpy as np

    picked = []
    for start_ns, end_ns in spans:
        low, high = np.searchsorted(samples.intended_ns, (start_ns, end_ns))
        span = np.arange(low, high, dtype=np.int64)
        if end_ns in strikes:
            over_ns = samples.end_ns[span]
            under_way = ((over_ns < 0) | (over_ns > end_ns)) & (samples.intended_ns[span] > end_ns - UNDER_WAY_NS)
            span = span[~under_way]
        picked.append(span)
    indices = np.concatenate(picked) if picked else np.empty(0, np.int64)
    for name, names, codes in (
        (cohort, samples.cohorts, samples.cohort),
        (operation, samples.operations, samples.operation),
    ):
        if name is not None:
            code = names.index(name) if name in names else -1
            indices = indices[codes[indices] == code]
    return indices


def at_most(least: float, most: float | None, limit: float) -> Status:
    """Judge `value <= limit` for a value between `least` and `most` (None: unbounded)."""
    if least > limit:
        return Status.FAIL
    return Status.PASS if most is not None and most <= limit else Status.INCONCLUSIVE


def worst(statuses: Sequence[Status]) -> Status:
    """Return the worst of them: fail, then inconclusive, then pass. Nothing at all is inconclusive."""
    for status in (Status.FAIL, Status.INCONCLUSIVE, Status.PASS):
        if status in statuses:
            return status
    return Status.INCONCLUSIVE
