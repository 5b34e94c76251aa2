"""Open-loop pacing: a grid that nothing shifts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.swarm.pace import Pace


@given(st.floats(0.01, 1000), st.text(), st.integers(0, 10**15))
def test_times_are_evenly_spaced_from_a_seeded_phase(rate_per_s: float, seed: str, start_ns: int) -> None:
    pace, again = Pace(rate_per_s, seed, start_ns), Pace(rate_per_s, seed, start_ns)
    times = [pace.take() for _ in range(20)]
    assert times == [again.take() for _ in range(20)]
    period_ns = 1e9 / rate_per_s
    assert start_ns - 1 <= times[0] <= start_ns + period_ns + 1
    assert all(abs(later - earlier - period_ns) <= 2 for earlier, later in itertools.pairwise(times))


def test_bots_do_not_act_in_step() -> None:
    assert len({Pace(1.0, f"7:near-{number}", 0).due_ns for number in range(50)}) == 50
