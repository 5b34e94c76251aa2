"""latency, errors, throughput: each with a passing, a failing and an inconclusive recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.units import WRITTEN
from chaosctl.recording.model import Outcome
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.estimate import at_most, quantile, standard_error, wilson_half_width, worst
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

ONE_SLOW_STALL = (TIMELINE_START, TIMELINE_START + S)


def judge(folder: Path, truth: Truth, **objective: Any) -> tuple[Finding, ...]:
    ((name, given),) = objective.items()
    checker = checkers()[name]
    return checker.check(make(folder, truth), checker.kind.params.model_validate(given)).findings


def spread(at: int) -> int:
    """1..100 ms, evenly: percentiles are known."""
    return (at // (10 * MS) % 100 + 1) * MS


def test_latency_percentiles_are_the_order_statistics(tmp_path: Path) -> None:
    truth = Truth(latency=spread, faults=[])
    p50, p99, worst_one = judge(tmp_path, truth, latency={"p50": "50ms", "p99": "99ms", "max": "99ms"})
    assert (p50.measured.value, p99.measured.value, worst_one.measured.value) == (50 * MS, 99 * MS, 100 * MS)
    assert (p50.status, p99.status, worst_one.status) == (Status.PASS, Status.PASS, Status.FAIL)
    assert p99.name == "latency.p99"
    assert 0 < p50.uncertainty < 5 * MS
    assert "from sending it is 25ms" in p50.why


def test_latency_of_too_few_operations_is_inconclusive(tmp_path: Path) -> None:
    (finding,) = judge(tmp_path, Truth(rate_per_s=10), latency={"p99.9": "1s"})
    assert finding.status is Status.INCONCLUSIVE
    assert "10000" in finding.why


def test_latency_counts_an_operation_without_an_end_as_at_least_its_wait(tmp_path: Path) -> None:
    never = Truth(outages=[(LOAD_START + 10 * S, LOAD_START + 20 * S)], faults=[])
    (finding,) = judge(tmp_path, never, latency={"p99": "1s", "during": "all"})
    assert finding.status is Status.FAIL
    assert finding.measured.censored and finding.measured.value >= 10 * S


def test_latency_that_unanswered_operations_could_move_over_the_limit_is_inconclusive(tmp_path: Path) -> None:
    late = Truth(outages=[(LOAD_START + 29 * S, LOAD_START + 30 * S)], faults=[])
    (finding,) = judge(tmp_path, late, latency={"p99": "2s", "during": "all"})
    assert finding.status is Status.INCONCLUSIVE


def test_latency_of_nothing_is_inconclusive(tmp_path: Path) -> None:
    (finding,) = judge(tmp_path, Truth(), latency={"p99": "1s", "cohort": "nobody"})
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


def test_latency_of_closed_loop_bots_says_so(tmp_path: Path) -> None:
    (finding,) = judge(tmp_path, Truth(open_loop=False), latency={"p99": "1s"})
    assert "closed-loop" in finding.why


@pytest.mark.parametrize(
    ("during", "status"),
    [("baseline", Status.PASS), ("steady", Status.PASS), ("faults", Status.FAIL), ("all", Status.FAIL)],
)
def test_latency_looks_only_at_its_stretch(tmp_path: Path, during: str, status: Status) -> None:
    fault = TrueFault("f1-slow", "latency", "a-b", "link", heal=TIMELINE_START + 5 * S)
    truth = Truth(faults=[fault], latency=lambda at: 900 * MS if fault.inject <= at < fault.heal else MS)  # type: ignore[operator]
    (finding,) = judge(tmp_path, truth, latency={"p95": "100ms", "during": during})
    assert finding.status is status


def test_latency_and_errors_of_one_cohort(tmp_path: Path) -> None:
    truth = Truth(outcome=lambda at: Outcome.FAIL if at // (10 * MS) % 5 == 0 else Outcome.OK, faults=[])
    assert judge(tmp_path / "a", truth, errors={"at_most": "1%", "cohort": "near"})[0].status is Status.PASS
    assert judge(tmp_path / "b", truth, errors={"at_most": "1%", "cohort": "far"})[0].status is Status.FAIL


def test_errors_are_shares_with_wilsons_interval(tmp_path: Path) -> None:
    truth = Truth(outcome=lambda at: Outcome.FAIL if at // (10 * MS) % 50 == 0 else Outcome.OK, faults=[])
    (passing,) = judge(tmp_path / "a", truth, errors="2%")
    assert passing.status is Status.PASS
    assert passing.measured.value == pytest.approx(0.02)
    assert passing.uncertainty == pytest.approx(0.0052, abs=0.0005)
    (failing,) = judge(tmp_path / "b", truth, errors="1.9%")
    assert failing.status is Status.FAIL
    assert failing.evidence[0].text == "56 x refused"


def test_errors_too_rare_to_be_seen_are_inconclusive(tmp_path: Path) -> None:
    (finding,) = judge(tmp_path / "a", Truth(rate_per_s=10), errors="0.1%")
    assert finding.status is Status.INCONCLUSIVE and "too few" in finding.why
    (nothing,) = judge(tmp_path / "b", Truth(), errors={"at_most": 0, "operation": "unknown"})
    assert nothing.status is Status.INCONCLUSIVE


def test_expected_errors_during_a_fault_fail_nothing_that_looks_at_steady(tmp_path: Path) -> None:
    truth = Truth(faults=[TrueFault(ready=TIMELINE_START + S)], outages=[ONE_SLOW_STALL])
    assert judge(tmp_path / "a", truth, errors="0.1%")[0].status is Status.PASS
    assert judge(tmp_path / "b", truth, errors={"at_most": "0.1%", "during": "all"})[0].status is Status.FAIL


def test_throughput_is_the_mean_of_whole_seconds(tmp_path: Path) -> None:
    (passing,) = judge(tmp_path / "a", Truth(), throughput={"at_least": "99/s", "during": "baseline"})
    assert passing.status is Status.PASS
    assert passing.measured.value == pytest.approx(100, abs=1)
    (failing,) = judge(tmp_path / "b", Truth(), throughput={"at_least": "101/s", "during": "baseline"})
    assert failing.status is Status.FAIL
    brief = Truth(faults=[TrueFault(ready=TIMELINE_START + S)])
    (short,) = judge(tmp_path / "c", brief, throughput={"at_least": "1/s", "during": "faults"})
    assert short.status is Status.INCONCLUSIVE


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=50),
    st.lists(st.integers(0, 1000), max_size=10),
    st.sampled_from([0.5, 0.9, 0.99, 1.0]),
)
def test_a_quantile_is_between_what_censored_values_allow(seen: list[int], waited: list[int], q: float) -> None:
    estimate = quantile(np.array(seen, np.int64), np.array(waited, np.int64), q)
    rank = max(int(np.ceil(q * (len(seen) + len(waited)))), 1) - 1
    assert estimate.least == sorted(seen + waited)[rank]
    later = sorted(seen + [10_000] * len(waited))[rank]
    assert later >= 10_000 if estimate.most is None else estimate.most == later


def test_formulas_at_known_points() -> None:
    assert wilson_half_width(0, 0) == 1.0
    assert wilson_half_width(10, 100) == pytest.approx(0.0595, abs=0.0005)
    assert standard_error([1.0]) == float("inf")
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert at_most(1, None, 2) is Status.INCONCLUSIVE
    assert worst([]) is Status.INCONCLUSIVE
    assert worst([Status.PASS, Status.INCONCLUSIVE]) is Status.INCONCLUSIVE
    assert worst([Status.PASS, Status.FAIL, Status.INCONCLUSIVE]) is Status.FAIL


@pytest.mark.parametrize("bad", [{}, {"p98": "1s"}, {"p99": 250}, {"p99": "1s", "during": "sometimes"}])
def test_latency_params_refuse_nonsense(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"p9|during|p50"):
        checkers()["latency"].kind.params.model_validate(bad, context=WRITTEN)


@pytest.mark.parametrize(("outcome", "status"), [(Outcome.INFO, Status.PASS), (Outcome.FAIL, Status.FAIL)])
def test_what_the_fault_cut_off_is_not_the_baselines(tmp_path: Path, outcome: Outcome, status: Status) -> None:
    """What nobody ever answered was under way when the fault struck; what had failed before it is the baseline's."""
    last = (TIMELINE_START - 200 * MS, TIMELINE_START)
    truth = Truth(
        faults=(TrueFault(inject=TIMELINE_START, ready=TIMELINE_START + S),),
        outcome=lambda at: outcome if last[0] <= at < last[1] else Outcome.OK,
    )
    (finding,) = judge(tmp_path / "run", truth, errors={"at_most": "1%", "during": "baseline"})
    assert finding.status is status, finding.why


def test_what_waited_long_before_the_fault_struck_is_the_baselines(tmp_path: Path) -> None:
    stuck = (TIMELINE_START - 2 * S, TIMELINE_START - 1500 * MS)
    truth = Truth(
        faults=(TrueFault(inject=TIMELINE_START, ready=TIMELINE_START + S),),
        latency=lambda at: 3 * S if stuck[0] <= at < stuck[1] else 5 * MS,
        outcome=lambda at: Outcome.INFO if stuck[0] <= at < stuck[1] else Outcome.OK,
    )
    (finding,) = judge(tmp_path / "run", truth, errors={"at_most": "1%", "during": "baseline"})
    assert finding.status is Status.FAIL, finding.why
