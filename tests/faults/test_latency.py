"""The decision behind a latency's proof, apart from the network."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.faults.asking import Delay
from chaosctl.faults.latency import LatencyParams, judge

MS = 1_000_000
DIRECTIONS = st.sampled_from(["down", "up", "both"])


def delay(added_ns: int, *, censored: bool = False) -> Delay:
    return Delay(added_ns + MS, MS, censored, 5, 7)


@st.composite
def latencies(draw: st.DrawFn) -> LatencyParams:
    latency_ms = draw(st.integers(1, 3_600_000))
    jitter_ms = draw(st.integers(0, latency_ms))
    return LatencyParams(latency_ns=latency_ms * MS, jitter_ns=jitter_ms * MS, direction=draw(DIRECTIONS))


@given(latencies(), st.integers(0, 200 * MS))
def test_a_latency_in_full_is_proved_and_none_at_all_never(params: LatencyParams, usual_ns: int) -> None:
    full_ns = params.ways * params.latency_ns + usual_ns
    assert judge(delay(full_ns), params, usual_ns, 0, healed=False).proved
    assert not judge(delay(usual_ns), params, usual_ns, 0, healed=False).proved
    assert judge(delay(usual_ns), params, usual_ns, 0, healed=True).proved
    assert not judge(delay(full_ns), params, usual_ns, 0, healed=True).proved


@given(latencies(), st.integers(0, 10_000 * MS), st.integers(0, 10_000 * MS))
def test_more_delay_never_unproves_and_less_never_unheals(params: LatencyParams, a_ns: int, b_ns: int) -> None:
    less, more = sorted((a_ns, b_ns))
    proofs = [judge(delay(added_ns), params, 0, 0, healed=False).proved for added_ns in (less, more)]
    heals = [judge(delay(added_ns), params, 0, 0, healed=True).proved for added_ns in (less, more)]
    assert proofs[0] <= proofs[1]
    assert heals[0] >= heals[1]


def test_of_a_long_latency_the_part_within_the_bound_of_a_proof_is_enough() -> None:
    params = LatencyParams(latency_ns=5_000 * MS)
    assert judge(delay(1_190 * MS, censored=True), params, 0, 0, healed=False).proved
    assert not judge(delay(1_190 * MS, censored=False), params, 0, 0, healed=False).proved
    assert judge(delay(1_190 * MS, censored=True), params, 0, 0, healed=False).proved
    assert not judge(delay(500 * MS, censored=True), params, 0, 0, healed=False).proved
    assert not judge(delay(1_190 * MS, censored=True), params, 0, 0, healed=True).proved


def test_the_numbers_are_in_the_sentence() -> None:
    params = LatencyParams(latency_ns=80 * MS, jitter_ns=20 * MS)
    text = judge(delay(83 * MS), params, 0, 0, healed=False).text
    assert text == ("answers take 84ms through the relay and 1ms directly: 83ms added; the fault asked for 80ms ± 20ms")


def test_a_cohort_that_wavers_more_than_the_fault_adds_hides_it() -> None:
    params = LatencyParams(latency_ns=10 * MS)
    for healed in (True, False):
        proof = judge(delay(130 * MS), params, 120 * MS, 20 * MS, healed=healed)
        assert not proof.proved and "hides" in proof.text
