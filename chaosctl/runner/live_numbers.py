"""Whether a stop condition holds, decided from what the load generator, a page or a command said. Pure.

The load workers report about once a second what they counted since their last report; times are run nanoseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.experiment.stop_condition import NUMBERS, StopCondition, in_its_unit
from chaosctl.experiment.units import NS_PER_S, format_duration

NS_PER_MS = 1_000_000
# These are what they should be only when the ramp is over.
AFTER_RAMP = ("throughput", "users")


@dataclass(frozen=True)
class Report:
    """What one load worker counted in about a second that ended at `at_ns`. `p99_ns` is None where nothing ended."""

    at_ns: int
    worker: str
    users: int
    ok: int
    fail: int
    info: int
    p99_ns: float | None


@dataclass(frozen=True)
class Answer:
    """What a page said when it was asked: from `asked_ns` to `at_ns`."""

    asked_ns: int
    at_ns: int
    healthy: bool
    text: str


def report_of(fields: Mapping[str, Any]) -> Report:
    """Return the report in a `generator` event; what is missing counts as nothing."""

    def number(name: str) -> float:
        value = fields.get(name)
        return value if isinstance(value, int | float) and math.isfinite(value) else 0

    p99_ms = fields.get("p99_ms")
    return Report(
        at_ns=int(number("at_ns")),
        worker=str(fields.get("worker")),
        users=int(number("users")),
        ok=int(number("ok")),
        fail=int(number("fail")),
        info=int(number("info")),
        p99_ns=p99_ms * NS_PER_MS if isinstance(p99_ms, int | float) else None,
    )


def exceeded(condition: StopCondition, reports: Sequence[Report], since_ns: int) -> str | None:
    """Return what was seen, with its number, if a condition on a number holds at the time of the last report.

    `reports` are in the order of their times; only the last `over` counts, and all of it must be after `since_ns`.
    """
    assert condition.way in NUMBERS
    if not reports or reports[-1].at_ns - condition.over_ns < since_ns:
        return None
    start_ns = reports[-1].at_ns - condition.over_ns
    window = [report for report in reports if report.at_ns > start_ns]
    whole = {"errors": _errors, "throughput": _throughput}.get(condition.way)
    found = whole(condition, window) if whole is not None else _all_through(condition, reports, start_ns)
    when = f"from {start_ns / NS_PER_S:.1f}s to {reports[-1].at_ns / NS_PER_S:.1f}s of the run"
    return f"{found}, {when}" if found else None


def _errors(condition: StopCondition, window: Sequence[Report]) -> str:
    bad = sum(report.fail + report.info for report in window)
    count = bad + sum(report.ok for report in window)
    if not count or not _met(condition, bad / count):
        return ""
    return f"{in_its_unit('errors', bad / count)} of {count} operations"


def _throughput(condition: StopCondition, window: Sequence[Report]) -> str:
    per_s = sum(report.ok for report in window) / (condition.over_ns / NS_PER_S)
    return in_its_unit("throughput", per_s) if _met(condition, per_s) else ""


def _all_through(condition: StopCondition, reports: Sequence[Report], start_ns: int) -> str:
    """The value nearest to the bound is the one to name: all the others were beyond it by more."""
    series = _worst_p99(reports) if condition.way == "p99" else _users(reports)
    values = [value for at_ns, value in series if at_ns > start_ns]
    if not values or not all(_met(condition, value) for value in values):
        return ""
    above = condition.bound is not None and condition.bound.above
    nearest = min(values) if above else max(values)
    return f"{'at least' if above else 'at most'} {in_its_unit(condition.way, nearest)} all the time"


def _worst_p99(reports: Sequence[Report]) -> Iterator[tuple[int, float]]:
    """Percentiles of parts give none of the whole: each second counts with that of its worst worker."""
    latest: dict[str, float] = {}
    for report in reports:
        if report.p99_ns is None:
            latest.pop(report.worker, None)
        else:
            latest[report.worker] = report.p99_ns
        if latest:
            yield report.at_ns, max(latest.values())


def _users(reports: Sequence[Report]) -> Iterator[tuple[int, float]]:
    latest: dict[str, int] = {}
    for report in reports:
        latest[report.worker] = report.users
        yield report.at_ns, sum(latest.values())


def _met(condition: StopCondition, value: float) -> bool:
    return condition.bound is not None and condition.bound.met(value)


def unhealthy(condition: StopCondition, answers: Sequence[Answer]) -> str | None:
    """Return what was seen if the page has been unhealthy for as long as the condition says, up to the last answer."""
    streak: list[Answer] = []
    for answer in reversed(answers):
        if answer.healthy:
            break
        streak.append(answer)
    if not streak or streak[0].at_ns - streak[-1].asked_ns < condition.unhealthy_for_ns:
        return None
    lasted = format_duration(streak[0].at_ns - streak[-1].asked_ns)
    return f"{len(streak)} bad answers in {lasted}, the last: {streak[0].text}"
