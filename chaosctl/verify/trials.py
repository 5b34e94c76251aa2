"""Several trials of one experiment as one summary: every trial, the median with its ± and range, and what is flaky.

The ± of a median is the distribution-free interval between two of the ordered values that covers the true median with
95 % or more (David and Nagaraja, Order Statistics, 7.1; exact binomial coverage). Fewer than 6 values have no such
interval: there it is their range, with the share that it does cover. Each value enters with its own ±.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chaosctl.errors import ExitCode
from chaosctl.verify.contract import Finding, Quantity, Status, Verdict
from chaosctl.verify.estimate import worst

SCHEMA_VERSION = 1  # of trials.json
_CONFIDENCE = 0.95
# How a run ended comes before what it found, as for a single run; none of these is worth another trial.
_ENDINGS = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.STOPPED,
    ExitCode.NOT_READY,
    ExitCode.INTERNAL,
)


@dataclass(frozen=True)
class Trial:
    """One trial as it was recorded: its number (from 1), its folder, and its verdict, None if it was not judged."""

    number: int
    folder: str
    run_id: str
    seed: int
    verdict: Verdict | None


@dataclass(frozen=True)
class TrialRow:
    """One trial in the summary. `why`: the objectives that did not pass, or what became of the trial."""

    trial: int
    folder: str
    run_id: str
    seed: int
    status: Status
    exit_code: int | None
    ended: str
    why: str


@dataclass(frozen=True)
class Value:
    """What one trial measured for an objective. Only a `counted` one (of a completed trial) enters the median."""

    trial: int
    status: Status
    measured: Quantity
    uncertainty: float
    counted: bool


@dataclass(frozen=True)
class Spread:
    """The median of `n` values, their range, and the interval of the median with the share of cases that it covers.

    `uncertainty` is the interval's farther end from the median, None if nothing bounds it. A censored quantity is
    "> value". `between` says which values the interval lies between: `range`, or the ranks from either end (2: the
    second smallest and the second largest).
    """

    n: int
    median: Quantity
    uncertainty: float | None
    interval_low: Quantity
    interval_high: Quantity
    lowest: Quantity
    highest: Quantity
    coverage: float
    between: int


@dataclass(frozen=True)
class OverTrials:
    """One objective over all trials. `flaky`: completed trials disagree about it."""

    name: str
    checker: str
    op: str
    expected: Quantity
    status: Status
    flaky: bool
    passed: int
    failed: int
    inconclusive: int
    spread: Spread | None
    values: tuple[Value, ...]


@dataclass(frozen=True)
class TrialsSummary:
    """trials.json, field by field. `asked` trials were wanted; the worst status of those that were played counts."""

    schema_version: int
    experiment: str
    trials_id: str
    asked: int
    status: Status
    exit_code: int
    flaky: bool
    trials: tuple[TrialRow, ...]
    objectives: tuple[OverTrials, ...]
    notes: tuple[str, ...]


def summarise(experiment: str, trials_id: str, asked: int, trials: Sequence[Trial]) -> TrialsSummary:
    """Return the summary of the trials that were played, in their order. A pass needs all that were asked for."""
    rows = tuple(map(_row, trials))
    lacking = asked - len(trials)
    notes = tuple(f"trial {trial.number} was not judged" for trial in trials if trial.verdict is None)
    if lacking > 0:
        notes += (f"{lacking} of {asked} trials were not run",)
    seen = [row.status for row in rows] + [Status.INCONCLUSIVE] * (lacking > 0)
    status = worst(seen)
    objectives = tuple(_over(name, trials) for name in _names(trials))
    return TrialsSummary(
        schema_version=SCHEMA_VERSION,
        experiment=experiment,
        trials_id=trials_id,
        asked=asked,
        status=status,
        exit_code=int(_exit_code(rows, status)),
        flaky=len({row.status for row in rows if row.ended == "completed"}) > 1 or any(o.flaky for o in objectives),
        trials=rows,
        objectives=objectives,
        notes=notes,
    )


def ends_the_rest(verdict: Verdict) -> bool:
    """Say whether no further trial should follow: interrupted, stopped, or a failure that the next would meet again."""
    return verdict.exit_code in (*_ENDINGS, ExitCode.NOT_CLEAN)


def spread_of(values: Sequence[tuple[Quantity, float]]) -> Spread | None:
    """Return median, interval and range of measured values with their ±; None if there are none.

    A value that is only known to be more than T stands at T for what is at least so, and beyond all for what is at
    most so; where the two differ, the result is "> ".
    """
    known = [(float(one.value), one.censored, half) for one, half in values if one.value is not None]
    if not known:
        return None
    n, unit = len(known), values[0][0].unit
    low = sorted(value for value, _, _ in known)
    high = sorted(math.inf if censored else value for value, censored, _ in known)
    rank = _rank(n)
    least = sorted(value - half for value, _, half in known)[rank - 1]
    most = sorted(math.inf if censored else value + half for value, censored, half in known)[n - rank]
    median = _middle(low)
    at_least = sorted(value + half for value, _, half in known)[n - rank]
    bounded = math.isfinite(most) and math.isfinite(_middle(high))
    return Spread(
        n=n,
        median=_known_or_more(median, _middle(high), unit),
        uncertainty=max(median - least, most - median) if bounded else None,
        interval_low=Quantity(least, unit),
        interval_high=Quantity(most, unit) if math.isfinite(most) else Quantity(at_least, unit, censored=True),
        lowest=_known_or_more(low[0], high[0], unit),
        highest=_known_or_more(low[-1], high[-1], unit),
        coverage=_coverage(n, rank),
        between=rank,
    )


def summary_to_dict(summary: TrialsSummary) -> dict[str, Any]:
    """Return trials.json as data: the fields of the summary, with text for statuses and lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(summary), allow_nan=False))
    return plain


def _row(trial: Trial) -> TrialRow:
    verdict = trial.verdict
    if verdict is None:
        why, status, code, ended = "it was not judged", Status.INCONCLUSIVE, None, "unknown"
    else:
        status, code, ended = verdict.status, verdict.exit_code, verdict.ended
        whole = ended == "completed"
        told = (Status.FAIL, Status.INCONCLUSIVE) if whole else (Status.FAIL,)  # of the rest, its end is the reason
        short = [f"{one.name}: {one.status.value}" for one in verdict.objectives if one.status in told]
        why = ", ".join([*([] if whole else [f"the run did not complete: {ended}"]), *short])
    return TrialRow(trial.number, trial.folder, trial.run_id, trial.seed, status, code, ended, why)


def _names(trials: Iterable[Trial]) -> list[str]:
    judged = [trial.verdict for trial in trials if trial.verdict is not None]
    return list(dict.fromkeys(finding.name for verdict in judged for finding in verdict.objectives))


def _over(name: str, trials: Sequence[Trial]) -> OverTrials:
    found = [(trial, finding) for trial in trials for finding in [_finding(trial, name)]]
    first = next(finding for _, finding in found if finding is not None)
    values = tuple(_value(trial, finding, first) for trial, finding in found)
    statuses = [value.status for value in values]
    return OverTrials(
        name=name,
        checker=first.checker,
        op=first.op,
        expected=first.expected,
        status=worst(statuses),
        flaky=len({value.status for value in values if value.counted}) > 1,
        passed=statuses.count(Status.PASS),
        failed=statuses.count(Status.FAIL),
        inconclusive=statuses.count(Status.INCONCLUSIVE),
        spread=spread_of([(value.measured, value.uncertainty) for value in values if value.counted]),
        values=values,
    )


def _finding(trial: Trial, name: str) -> Finding | None:
    objectives = trial.verdict.objectives if trial.verdict else ()
    return next((finding for finding in objectives if finding.name == name), None)


def _value(trial: Trial, finding: Finding | None, like: Finding) -> Value:
    """A trial without this finding has shown nothing about it."""
    completed = trial.verdict is not None and trial.verdict.ended == "completed"
    if finding is None:
        return Value(trial.number, Status.INCONCLUSIVE, Quantity(None, like.measured.unit), 0.0, completed)
    return Value(trial.number, finding.status, finding.measured, finding.uncertainty, completed)


def _exit_code(rows: Sequence[TrialRow], status: Status) -> ExitCode:
    """As for one run: how it ended comes first, then a fail, then what could not be cleaned up, then a doubt."""
    codes = [row.exit_code for row in rows]
    for ending in _ENDINGS:
        if ending in codes:
            return ending
    if status is Status.FAIL:
        return ExitCode.FAIL
    if ExitCode.NOT_CLEAN in codes:
        return ExitCode.NOT_CLEAN
    return ExitCode.PASS if status is Status.PASS else ExitCode.INCONCLUSIVE


def _rank(n: int) -> int:
    """Return the largest r for which the r-th value from either end still encloses the median often enough, or 1."""
    ranks = [rank for rank in range(2, n // 2 + 1) if _coverage(n, rank) >= _CONFIDENCE]
    return max(ranks, default=1)


def _coverage(n: int, rank: int) -> float:
    """Return how often the true median lies between the rank-th values from either end."""
    return 1.0 - sum(math.comb(n, k) for k in range(rank)) / float(2 ** (n - 1))


def _middle(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _known_or_more(least: float, most: float, unit: str) -> Quantity:
    return Quantity(least, unit, censored=most > least)
