"""Dealing seats: exact counts, proportions at every prefix, the same each time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.swarm.seats import deal, spread

COHORTS = st.dictionaries(st.sampled_from(["near", "far", "moon"]), st.integers(1, 60), min_size=1)
WEIGHTS = st.lists(st.integers(1, 10).map(float), min_size=1, max_size=4)


def bots(cohorts: dict[str, int]) -> list[tuple[str, str, str]]:
    return [(f"{cohort}-{i}", cohort, f"7:{cohort}-{i}") for cohort, count in cohorts.items() for i in range(count)]


@given(COHORTS, WEIGHTS, st.integers(1, 4))
def test_every_bot_has_one_seat(cohorts: dict[str, int], weights: list[float], workers: int) -> None:
    seats = deal(bots(cohorts), weights, workers)
    assert sorted((seat.name, seat.cohort, seat.seed) for seat in seats) == sorted(bots(cohorts))
    assert all(0 <= seat.worker < workers for seat in seats)
    loads = Counter(seat.worker for seat in seats)
    assert max(loads.values()) - min(loads[worker] for worker in range(min(workers, len(seats)))) <= 1


@given(COHORTS, st.data())
def test_every_prefix_keeps_the_proportions(cohorts: dict[str, int], data: st.DataObject) -> None:
    seats = deal(bots(cohorts), [1.0], 1)
    users = data.draw(st.integers(0, len(seats)))
    present = Counter(seat.cohort for seat in seats[:users])
    for cohort, count in cohorts.items():
        assert abs(present[cohort] - users * count / len(seats)) <= len(cohorts)


@given(WEIGHTS, st.integers(0, 100))
def test_classes_get_their_weight(weights: list[float], count: int) -> None:
    given = Counter(spread(weights, count))
    for number, weight in enumerate(weights):
        assert abs(given[number] - count * weight / sum(weights)) <= len(weights)
