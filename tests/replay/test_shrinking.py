"""The laws of delta debugging: what is left still shows it, no item of it can go, and it comes to an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.replay.shrinking import ddmin

Shows = Callable[[Sequence[int]], bool]
needs = st.lists(st.sets(st.integers(0, 40), max_size=4), min_size=1, max_size=3)


def needing(groups: list[set[int]]) -> Shows:
    """Any one of the groups, whole, shows it."""
    return lambda items: any(group <= set(items) for group in groups)


@given(needs)
def test_what_is_left_shows_it_and_nothing_of_it_can_go(groups: list[set[int]]) -> None:
    shows = needing(groups)
    shrunk = ddmin(range(41), shows)
    assert shrunk.minimal and shows(shrunk.items)
    assert list(shrunk.items) == sorted(set(shrunk.items))
    for n in range(len(shrunk.items)):
        assert not shows(shrunk.items[:n] + shrunk.items[n + 1 :])


@given(st.sets(st.integers(0, 20), max_size=3), st.dictionaries(st.integers(1, 20), st.integers(0, 19), max_size=20))
def test_nothing_can_go_where_some_items_are_of_no_use_without_others(needed: set[int], before: dict[int, int]) -> None:
    """An item may need an earlier one: that one can go only when nobody is left who needs it."""
    earlier = {item: other % item for item, other in before.items()}

    def shows(items: Sequence[int]) -> bool:
        return needed <= set(items) and all(earlier[item] in items for item in items if item in earlier)

    whole = [*range(21)]
    shrunk = ddmin(whole, shows)
    for n in range(len(shrunk.items)):
        assert not shows(shrunk.items[:n] + shrunk.items[n + 1 :])


@given(st.integers(0, 10_000), st.sets(st.integers(0, 63), min_size=1, max_size=20))
def test_it_ends_whatever_the_answers_are(salt: int, seen: set[int]) -> None:
    """Answers without any law, even without the same answer to the same question."""
    trials = 0

    def shows(items: Sequence[int]) -> bool:
        nonlocal trials
        trials += 1
        return hash((salt, trials, *items)) % 3 == 0 and bool(seen & set(items))

    shrunk = ddmin(range(64), shows)
    assert shrunk.minimal
    assert trials <= 64 * 64


@given(needs, st.integers(0, 50))
def test_at_the_bound_the_best_so_far_is_left(groups: list[set[int]], most: int) -> None:
    shows, trials, best = needing(groups), 0, tuple(range(41))

    def counted(items: Sequence[int]) -> bool:
        nonlocal trials, best
        trials += 1
        if shows(items):
            best = tuple(items)
        return shows(items)

    shrunk = ddmin(range(41), counted, lambda: trials < most)
    assert trials <= most
    assert shrunk.items == best
    assert shows(shrunk.items)


def test_a_few_items_in_thousands_are_found_in_a_few_dozen_trials() -> None:
    trials = 0

    def shows(items: Sequence[int]) -> bool:
        nonlocal trials
        trials += 1
        return {0, 17, 11_999} <= set(items)

    assert ddmin(range(12_000), shows).items == (0, 17, 11_999)
    assert trials < 120


def test_what_shows_by_itself_needs_nothing() -> None:
    assert ddmin(range(9), lambda items: True).items == ()
    assert ddmin((), lambda items: True).items == ()
