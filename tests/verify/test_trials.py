"""Several trials as one summary: nothing is averaged away, nothing is more certain than what was seen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.errors import ExitCode
from chaosctl.verify.contract import Finding, Quantity, Status, Verdict
from chaosctl.verify.trials import OverTrials, Trial, TrialsSummary, ends_the_rest, spread_of, summarise

S = 1_000_000_000
STATUSES = {"p": Status.PASS, "f": Status.FAIL, "i": Status.INCONCLUSIVE}
CODES = {Status.PASS: 0, Status.FAIL: 1, Status.INCONCLUSIVE: 6}


def finding(
    status: Status, value: float | None = S, *, censored: bool = False, name: str = "recovery.steady"
) -> Finding:
    measured = Quantity(value, "ns", censored)
    return Finding(name, name.split(".")[0], status, "<=", Quantity(3.0 * S, "ns"), measured, 0.1 * S, "")


def trial(number: int, *findings: Finding, code: int | None = None, ended: str = "completed") -> Trial:
    order = [Status.FAIL, Status.INCONCLUSIVE, Status.PASS]
    status = min((one.status for one in findings), key=order.index, default=Status.INCONCLUSIVE)
    verdict = Verdict(
        schema_version=1,
        experiment="x",
        run_id=f"t-{number}",
        seed=number,
        status=status,
        exit_code=CODES[status] if code is None else code,
        objectives=findings,
        faults=(),
        recovery=(),
        rollback=(),
        replays=(),
        relay={},
        generator={},
        environment={},
        ended=ended,
        notes=(),
    )
    return Trial(number, f"trial-{number}", f"t-{number}", number, verdict)


def summary(statuses: str, asked: int | None = None) -> TrialsSummary:
    trials = [trial(number, finding(STATUSES[one])) for number, one in enumerate(statuses, 1)]
    return summarise("x", "t", asked or len(trials), trials)


def only(one: TrialsSummary) -> OverTrials:
    (objective,) = one.objectives
    return objective


@pytest.mark.parametrize(
    ("statuses", "status", "code", "flaky"),
    [
        ("ppp", Status.PASS, 0, False),
        ("fff", Status.FAIL, 1, False),
        ("pfp", Status.FAIL, 1, True),
        ("pip", Status.INCONCLUSIVE, 6, True),
        ("iii", Status.INCONCLUSIVE, 6, False),
        ("pfi", Status.FAIL, 1, True),
    ],
)
def test_the_worst_trial_counts_and_a_disagreement_is_flaky(
    statuses: str, status: Status, code: int, flaky: bool
) -> None:
    one = summary(statuses)
    assert (one.status, one.exit_code, one.flaky) == (status, code, flaky)
    assert (only(one).status, only(one).flaky) == (status, flaky)
    counted = (only(one).passed, only(one).failed, only(one).inconclusive)
    assert counted == tuple(statuses.count(letter) for letter in "pfi")
    assert [value.trial for value in only(one).values] == [1, 2, 3]


def test_trials_that_were_not_run_take_the_pass_but_leave_the_fail() -> None:
    short = summary("pp", asked=9)
    assert (short.status, short.exit_code) == (Status.INCONCLUSIVE, 6)
    assert short.notes == ("7 of 9 trials were not run",)
    assert summary("pf", asked=9).status is Status.FAIL


@pytest.mark.parametrize("code", [130, 143, 5, 4, 7])
def test_how_a_trial_ended_comes_before_what_the_others_found_and_ends_the_rest(code: int) -> None:
    last = trial(2, finding(Status.INCONCLUSIVE), code=code, ended="interrupted")
    one = summarise("x", "t", 9, [trial(1, finding(Status.FAIL)), last])
    assert (one.status, one.exit_code) == (Status.FAIL, code)
    assert [row.why for row in one.trials] == ["recovery.steady: fail", "the run did not complete: interrupted"]
    assert last.verdict is not None and ends_the_rest(last.verdict)
    assert not one.flaky, "an interrupted trial disagrees with nobody"


def test_what_could_not_be_cleaned_up_never_hides_a_fail() -> None:
    dirty = trial(1, finding(Status.PASS), code=ExitCode.NOT_CLEAN)
    assert summarise("x", "t", 1, [dirty]).exit_code == ExitCode.NOT_CLEAN
    assert summarise("x", "t", 2, [dirty, trial(2, finding(Status.FAIL))]).exit_code == ExitCode.FAIL
    assert dirty.verdict is not None and ends_the_rest(dirty.verdict)
    for status in Status:
        ordinary = trial(1, finding(status)).verdict
        assert ordinary is not None and not ends_the_rest(ordinary)


def test_a_trial_without_a_verdict_or_without_the_finding_is_inconclusive() -> None:
    unjudged = Trial(2, "trial-2", "t-2", 2, None)
    one = summarise("x", "t", 3, [trial(1, finding(Status.PASS)), unjudged, trial(3)])
    assert one.status is Status.INCONCLUSIVE
    assert one.notes == ("trial 2 was not judged",)
    assert [value.status for value in only(one).values] == [Status.PASS, Status.INCONCLUSIVE, Status.INCONCLUSIVE]
    assert [value.measured.value for value in only(one).values] == [S, None, None]


def test_no_trial_at_all_proves_nothing() -> None:
    assert summarise("x", "t", 9, []).status is Status.INCONCLUSIVE


def test_only_completed_trials_enter_the_median() -> None:
    cut = trial(3, finding(Status.INCONCLUSIVE, 0.0), code=130, ended="interrupted")
    one = only(summarise("x", "t", 3, [trial(1, finding(Status.PASS)), trial(2, finding(Status.PASS)), cut]))
    assert one.spread is not None and one.spread.n == 2 and one.spread.lowest.value == S
    assert one.values[2].measured.value == 0.0, "it is shown all the same"


def values(*numbers: float, beyond: tuple[float, ...] = (), half: float = 0.0) -> list[tuple[Quantity, float]]:
    return [(Quantity(n, "ns"), half) for n in numbers] + [(Quantity(n, "ns", censored=True), half) for n in beyond]


def test_the_median_of_nine_has_the_interval_from_the_second_to_the_eighth() -> None:
    spread = spread_of(values(9, 1, 8, 2, 7, 3, 6, 4, 5, half=0.5))
    assert spread is not None
    assert (spread.median.value, spread.between) == (5, 2)
    assert (spread.interval_low.value, spread.interval_high.value) == (1.5, 8.5)
    assert spread.uncertainty == 3.5
    assert spread.coverage == pytest.approx(1 - 20 / 512)
    assert (spread.lowest.value, spread.highest.value) == (1, 9)


@pytest.mark.parametrize(("n", "coverage"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375)])
def test_few_values_have_their_range_and_what_it_covers(n: int, coverage: float) -> None:
    spread = spread_of(values(*range(n)))
    assert spread is not None
    assert (spread.between, spread.coverage) == (1, coverage)
    assert (spread.interval_low.value, spread.interval_high.value) == (0, n - 1)


def test_what_is_only_known_to_be_more_stays_so() -> None:
    mostly_never = spread_of(values(1, beyond=(12, 12)))
    assert mostly_never is not None
    assert mostly_never.median == Quantity(12, "ns", censored=True)
    assert mostly_never.highest == Quantity(12, "ns", censored=True)
    assert mostly_never.uncertainty is None
    once_never = spread_of(values(1, 2, beyond=(12,)))
    assert once_never is not None
    assert once_never.median == Quantity(2, "ns")
    assert once_never.uncertainty is None, "the interval reaches beyond what was seen"
    early = spread_of(values(5, 6, beyond=(1,)))
    assert early is not None
    assert early.median == Quantity(5, "ns", censored=True), "it is 5 or 6: nobody knows where the third lies"
    assert early.lowest == Quantity(1, "ns", censored=True)


NUMBERS = st.floats(0, 1e12, allow_nan=False)


@given(st.lists(st.tuples(NUMBERS, st.booleans(), st.floats(0, 1e3)), min_size=1, max_size=40), st.data())
def test_the_order_of_the_trials_changes_nothing_and_the_median_lies_in_its_interval(
    given_values: list[tuple[float, bool, float]], data: st.DataObject
) -> None:
    made = [(Quantity(value, "ns", censored), half) for value, censored, half in given_values]
    spread = spread_of(made)
    assert spread == spread_of(data.draw(st.permutations(made)))
    assert spread is not None and spread.median.value is not None
    assert spread.lowest.value is not None and spread.highest.value is not None
    assert spread.lowest.value <= spread.median.value <= spread.highest.value
    assert spread.interval_low.value is not None and spread.interval_low.value <= spread.median.value
    if spread.uncertainty is not None:
        assert spread.interval_high.value is not None and not spread.interval_high.censored
        assert spread.interval_high.value >= spread.median.value
        assert spread.uncertainty >= 0


@given(st.lists(st.tuples(NUMBERS, st.booleans(), NUMBERS), min_size=1, max_size=15))
def test_a_censored_value_covers_whatever_the_truth_was(drawn: list[tuple[float, bool, float]]) -> None:
    """Whatever lies beyond each `> T`, the median of the truth is what the median says, or more where it says so."""
    truth = sorted(value + (more if censored else 0.0) for value, censored, more in drawn)
    n = len(truth)
    middle = truth[n // 2] if n % 2 else (truth[n // 2 - 1] + truth[n // 2]) / 2
    spread = spread_of([(Quantity(value, "ns", censored), 0.0) for value, censored, _ in drawn])
    assert spread is not None and spread.median.value is not None
    if spread.median.censored:
        assert middle >= spread.median.value
    else:
        assert math.isclose(middle, spread.median.value)
