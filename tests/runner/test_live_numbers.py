"""When a stop condition holds, on numbers as load workers and pages report them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.stop_condition import StopCondition
from chaosctl.experiment.units import WRITTEN
from chaosctl.runner.live_numbers import Answer, Report, exceeded, report_of, unhealthy

S = 1_000_000_000
MS = 1_000_000


def condition(**written: Any) -> StopCondition:
    return StopCondition.model_validate(written, context=WRITTEN)


def second(at_s: float, worker: str = "0", **counted: Any) -> Report:
    return Report(**{"at_ns": int(at_s * S), "worker": worker, "users": 10, "ok": 0, "fail": 0, "info": 0,
                     "p99_ns": None, **counted})  # fmt: skip


def seconds(values: Sequence[dict[str, Any]], first_s: int = 1) -> list[Report]:
    return [second(at_s, **counted) for at_s, counted in enumerate(values, first_s)]


GOOD, BAD, LOST = {"ok": 100}, {"fail": 100}, {"info": 100}
HALF = condition(errors="> 50%", over="4s")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([GOOD] * 9, None),
        ([GOOD] * 5 + [BAD] * 2, None),  # exactly half of the last 4 s
        ([GOOD] * 5 + [BAD] * 2 + [LOST], "75% of 400 operations, from 4.0s to 8.0s of the run"),
        ([BAD] * 3, None),  # not yet 4 s
        ([BAD] * 4, "100% of 400 operations, from 0.0s to 4.0s of the run"),
        ([BAD] * 4 + [GOOD] * 3, None),
        ([{}] * 9, None),  # nothing was asked for: no share
        ([], None),
    ],
)
def test_the_share_of_errors_over_the_last_seconds(values: list[dict[str, Any]], found: str | None) -> None:
    assert exceeded(HALF, seconds(values), since_ns=0) == found


def test_all_workers_count_together() -> None:
    bad = [second(at_s, "0", fail=10) for at_s in range(1, 6)]
    good = [second(at_s + 0.5, "1", ok=100) for at_s in range(1, 6)]
    both = sorted([*bad, *good], key=lambda report: report.at_ns)
    assert exceeded(HALF, bad, 0) is not None
    assert exceeded(HALF, both, 0) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_errors_are_what_counting_by_hand_gives(counts: list[tuple[int, int, int]]) -> None:
    reports = seconds([{"ok": ok, "fail": fail, "info": info} for ok, fail, info in counts])
    last = counts[-4:]
    bad, all_of_them = sum(f + i for _, f, i in last), sum(sum(one) for one in last)
    holds = len(counts) >= 4 and all_of_them > 0 and bad / all_of_them > 0.5
    assert (exceeded(HALF, reports, 0) is not None) == holds


def test_a_percentile_has_to_stay_beyond_its_bound_all_the_time() -> None:
    slow = condition(p99="> 500ms", over="3s")
    values = [{"p99_ns": 900 * MS}, {"p99_ns": 600 * MS}, {"p99_ns": 700 * MS}]
    assert exceeded(slow, seconds(values), 0) == "at least 600ms all the time, from 0.0s to 3.0s of the run"
    values[1] = {"p99_ns": 400 * MS}
    assert exceeded(slow, seconds(values), 0) is None
    values[1] = {"p99_ns": None}  # nothing ended in that second: it says nothing
    assert exceeded(slow, seconds(values), 0) is not None
    assert exceeded(slow, seconds([{}] * 3), 0) is None


def test_the_worst_worker_s_percentile_counts() -> None:
    slow = condition(p99="> 500ms", over="2s")
    quick = [second(at_s, "0", p99_ns=10.0 * MS) for at_s in (1, 2, 3)]
    late = [second(at_s + 0.1, "1", p99_ns=800.0 * MS) for at_s in (1, 2, 3)]
    both = sorted([*quick, *late], key=lambda report: report.at_ns)
    assert exceeded(slow, both, 0) is not None
    assert exceeded(slow, quick, 0) is None


def test_throughput_is_what_succeeds() -> None:
    still = condition(throughput="< 10/s", over="2s")
    found = exceeded(still, seconds([GOOD, {"ok": 5, "fail": 100}, {"ok": 6, "fail": 100}]), 0)
    assert found == "5.5/s, from 1.0s to 3.0s of the run"
    assert exceeded(still, seconds([GOOD, GOOD, BAD]), 0) is None
    assert exceeded(still, seconds([{}, {}]), 0) == "0/s, from 0.0s to 2.0s of the run"


def test_users_of_all_workers_count_once_the_time_has_come() -> None:
    few = condition(users="< 15", over="2s")
    both = [second(at_s, worker, users=5) for at_s in (1, 2, 3) for worker in "01"]
    assert exceeded(few, both, 0) == "at most 10 all the time, from 1.0s to 3.0s of the run"
    assert exceeded(few, both, since_ns=2 * S) is None, "the window begins before it counts"
    assert exceeded(condition(users="< 10", over="2s"), both, 0) is None


def test_a_report_is_read_from_an_event_and_odd_values_count_as_nothing() -> None:
    fields = {"at_ns": S, "worker": 0, "users": 3, "ok": 1, "fail": 2, "info": None, "p99_ms": 1.5}
    assert report_of(fields) == Report(S, "0", 3, 1, 2, 0, 1.5 * MS)
    assert report_of({"ok": float("nan"), "p99_ms": "x"}) == Report(0, "None", 0, 0, 0, 0, None)


def answers(*healthy: bool) -> list[Answer]:
    return [Answer(at * S, at * S + S // 10, one, "200 OK" if one else "503 No") for at, one in enumerate(healthy)]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), None),
        ((True,) * 9, None),
        ((True, False, False, False), None),
        ((True, False, False, False, False), "4 bad answers in 3.1s, the last: 503 No"),
        ((False, False, False, True, False, False), None),
        ((False, False, False, False, True), None),
    ],
)
def test_a_page_has_to_stay_unhealthy(said: tuple[bool, ...], found: str | None) -> None:
    assert unhealthy(condition(http="http://x/", unhealthy_for="3s"), answers(*said)) == found
