"""Laws of the measured numbers: more of the same never makes ± wider, and who recorded an operation changes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.model import Outcome
from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Finding
from chaosctl.verify.estimate import quantile, wilson_half_width
from chaosctl.verify.judge import judge
from tests.fixtures.generator import LOAD_START, MS, S, Truth, make

OBJECTIVES: dict[str, Any] = {
    "latency": {"p50": "50ms", "p90": "50ms", "p99": "50ms", "max": "1s", "during": "all"},
    "errors": {"at_most": "2%", "during": "all"},
}
RATE_PER_S = 20
RAMP_S = 2  # `all` begins after it
FLOAT_NOISE = 1e-12
# What the operations of one second met, again in every second: how long they took, and whether they took effect.
A_SECOND = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAIL])),
    min_size=RATE_PER_S,
    max_size=RATE_PER_S,
)
QUANTILES = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 1.0])


def truth(second: list[tuple[int, Outcome]], seconds: int, workers: int = 1) -> Truth:
    """A run of `seconds` after the ramp, each like the other, without a fault."""

    def met(at: int) -> tuple[int, Outcome]:
        return second[at * RATE_PER_S // S % RATE_PER_S]

    return Truth(
        objectives=OBJECTIVES,
        faults=(),
        end=LOAD_START + (RAMP_S + seconds) * S,
        every=500 * MS,
        rate_per_s=RATE_PER_S,
        latency=lambda at: met(at)[0] * MS,
        outcome=lambda at: met(at)[1],
        workers=workers,
    )


def findings(recording: Recording) -> dict[str, Finding]:
    return {finding.name: finding for finding in judge(recording).objectives}


@given(hits=st.integers(0, 500), more=st.integers(0, 500), times=st.integers(1, 50))
def test_the_same_share_of_more_operations_is_never_less_certain(hits: int, more: int, times: int) -> None:
    n = hits + more
    assert wilson_half_width(hits * times, n * times) <= wilson_half_width(hits, n) + FLOAT_NOISE


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=300), times=st.integers(1, 20), q=QUANTILES)
def test_the_same_distribution_of_more_operations_is_never_less_certain(
    values: list[int], times: int, q: float
) -> None:
    none = np.empty(0, np.int64)
    few, many = (quantile(np.repeat(np.array(values, np.int64), k), none, q) for k in (1, times))
    assert many.least == few.least
    assert many.half_width <= few.half_width


@settings(max_examples=15, deadline=None)
@given(second=A_SECOND, seconds=st.integers(4, 8), more=st.integers(1, 12))
def test_a_longer_recording_of_the_same_never_makes_the_uncertainty_wider(
    second: list[tuple[int, Outcome]], seconds: int, more: int
) -> None:
    """Of the same: a recording in which something new happens may know less about the whole of it."""
    with tempfile.TemporaryDirectory() as folder:
        short = findings(make(Path(folder) / "short", truth(second, seconds)))
        long = findings(make(Path(folder) / "long", truth(second, seconds + more)))
    assert short.keys() == long.keys()
    for name, finding in long.items():
        assert finding.measured == short[name].measured
        assert finding.uncertainty <= short[name].uncertainty + FLOAT_NOISE, name


@settings(max_examples=15, deadline=None)
@given(second=A_SECOND, workers=st.integers(2, 5), shuffled=st.one_of(st.none(), st.integers(0, 99)), data=st.data())
def test_who_recorded_an_operation_and_in_which_order_changes_nothing(
    second: list[tuple[int, Outcome]], workers: int, shuffled: int | None, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(workers)))
    with tempfile.TemporaryDirectory() as folder:
        alone = findings(make(Path(folder) / "alone", truth(second, 4)))
        make(Path(folder) / "several", replace(truth(second, 4, workers), shuffled=shuffled))
        samples = Path(folder) / "several" / "samples"
        for worker in range(workers):
            (samples / f"swarm-{worker}.arrow").rename(samples / f"moved-{worker}")
        for worker, place in enumerate(order):
            (samples / f"moved-{worker}").rename(samples / f"swarm-{place}.arrow")
        several = findings(Recording.open(Path(folder) / "several"))
    # The files are sealed under the names that they had, so the whole verdict may have a doubt more; the numbers not.
    for name, finding in several.items():
        assert finding.measured == alone[name].measured
        assert finding.uncertainty == alone[name].uncertainty
        assert finding.evidence == alone[name].evidence
