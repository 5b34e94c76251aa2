from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.verify.measure.spans import Spans

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), max_size=8)


def spans(pairs: list[tuple[int, int]]) -> Spans:
    return Spans.parse(",".join(f"{low}-{low + more}" for low, more in pairs))


def listed(pairs: list[tuple[int, int]]) -> Counter[int]:
    return Counter(element for low, more in pairs for element in range(low, low + more + 1))


@given(PAIRS, PAIRS)
def test_they_count_what_plain_sets_count(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b, plain_a, plain_b = spans(one), spans(other), listed(one), listed(other)
    assert (a | b).first(100) == sorted({*plain_a, *plain_b})
    assert (a - b).first(100) == sorted({*plain_a} - {*plain_b})
    assert a.repeated().first(100) == sorted(element for element, times in plain_a.items() if times > 1)
    assert (a | spans([])).covers(b) == ({*plain_b} <= {*plain_a})
    assert a.and_also(b.starts, b.ends).repeated().first(100) == sorted(
        element for element, times in (plain_a + plain_b).items() if times > 1
    )
    assert len(a - b) == len({*plain_a} - {*plain_b})


def test_neighbours_are_joined() -> None:
    joined = Spans.of(np.array([3, 1, 2, 9]))
    assert (joined.starts.tolist(), joined.ends.tolist()) == ([1, 9], [3, 9])


@pytest.mark.parametrize("text", ["1,,2", "a", "1-", "-1"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="not ranges"):
        Spans.parse(text)


def test_a_range_that_ends_before_it_starts_is_said() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        Spans.parse("5-3")
