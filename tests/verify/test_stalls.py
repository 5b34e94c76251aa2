"""A standstill of the measuring side is not held against the target; a slow target is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.model import Outcome, Samples
from chaosctl.verify.contract import Status
from chaosctl.verify.judge import judge
from chaosctl.verify.measure.stalls import STOOD_STILL_NS, disturbed_questions, generator_stalls, touched
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

STALL = TIMELINE_START + 10 * S


def slow_for_a_second(at: int) -> int:
    """900 ms for what is due in one second, 5 ms otherwise."""
    return 900 * MS if STALL - S <= at < STALL else 5 * MS


def truth(lag_ms: float) -> Truth:
    """A run in which operations of one second are slow, with a heartbeat that was late by `lag_ms` then."""
    late = {"worker": "0", "lag_ms_max": lag_ms, "cpu_share": 0.2}
    return Truth(
        objectives={"latency": {"p99": "500ms", "during": "all"}},
        faults=(TrueFault(inject=TIMELINE_START, ready=TIMELINE_START + S),),
        latency=slow_for_a_second,
        events=((STALL, "generator", late),),
    )


def test_a_target_that_is_slow_while_the_generator_runs_fails(tmp_path: Path) -> None:
    verdict = judge(make(tmp_path / "run", truth(lag_ms=2.0)))
    assert verdict.status is Status.FAIL


def test_what_is_slow_only_while_the_generator_stood_still_is_inconclusive(tmp_path: Path) -> None:
    verdict = judge(make(tmp_path / "run", truth(lag_ms=800.0)))
    assert verdict.status is Status.INCONCLUSIVE
    assert "stood still" in verdict.objectives[0].why


def test_a_standstill_elsewhere_excuses_nothing(tmp_path: Path) -> None:
    elsewhere = truth(lag_ms=2.0)
    late = (LOAD_START + 20 * S, "generator", {"worker": "0", "lag_ms_max": 800.0, "cpu_share": 0.2})
    verdict = judge(make(tmp_path / "run", Truth(**{**vars(elsewhere), "events": (*elsewhere.events, late)})))
    assert verdict.status is Status.FAIL


def test_stalls_are_the_second_before_a_late_heartbeat(tmp_path: Path) -> None:
    recording = make(tmp_path / "run", truth(lag_ms=800.0))
    assert generator_stalls(recording) == ((STALL - S - 800 * MS, STALL),)
    swarm = recording.samples("swarm")
    hit = touched(swarm, generator_stalls(recording))
    assert hit.any()
    assert (swarm.intended_ns[hit] <= STALL).all()


def questions(*asked: tuple[int, int, int]) -> Samples:
    """Probes: (intended, sent, end), in milliseconds."""
    columns = np.array(asked, np.int64).reshape(-1, 3) * MS
    zero = np.zeros(len(asked), np.int32)
    return Samples(
        intended_ns=columns[:, 0],
        sent_ns=columns[:, 1],
        end_ns=np.where(columns[:, 2] < 0, -1, columns[:, 2]),
        outcome=np.full(len(asked), Outcome.INFO, np.int8),
        bot=zero,
        operation=zero,
        cohort=zero,
        error=zero,
        bots=("world[0]",),
        operations=("probe",),
        cohorts=("relay",),
        errors=("",),
        open_loop=True,
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([(0, 0, 250), (50, 51, 300)], [False, False]),  # sent in time: a real silence
        ([(0, 0, 250), (50, 400, 650), (900, 900, 950)], [True, True, False]),
        ([(0, 200, 210), (50, 200, 210), (100, 210, -1)], [True, True, True]),
    ],
)
def test_questions_that_met_a_standstill_of_the_probe(asked: list[tuple[int, int, int]], expected: list[bool]) -> None:
    assert disturbed_questions(questions(*asked)).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), min_size=1, max_size=30))
def test_it_agrees_with_looking_at_every_pair(lags: list[tuple[int, int]]) -> None:
    asked = [(50 * i, 50 * i + lag, 50 * i + lag + 20 * took) for i, (lag, took) in enumerate(lags)]
    stalls = [(due, sent) for due, sent, _ in asked if (sent - due) * MS >= STOOD_STILL_NS]
    expected = [any(start <= end and due <= stop for start, stop in stalls) for due, _, end in asked]
    assert disturbed_questions(questions(*asked)).tolist() == expected
