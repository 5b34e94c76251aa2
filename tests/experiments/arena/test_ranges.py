from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from arena.ranges import Ranges


def expanded(text: str) -> list[int]:
    """Read `1-3,5` the slow and obvious way."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        low, _, high = part.partition("-")
        numbers.extend(range(int(low), int(high or low) + 1))
    return numbers


@given(st.lists(st.integers(1, 40), max_size=60))
def test_it_is_a_set_of_numbers_in_the_fewest_ranges(numbers: list[int]) -> None:
    ranges = Ranges()
    for n in numbers:
        ranges.add(n)
    assert expanded(str(ranges)) == sorted(set(numbers))
    assert all(n in ranges for n in numbers)
    assert not any(n in ranges for n in set(range(60)) - set(numbers))
    assert all(high + 1 < low for (_, high), (low, _) in zip(ranges.pairs, ranges.pairs[1:], strict=False))


def test_its_text_is_what_people_write() -> None:
    ranges = Ranges()
    assert str(ranges) == ""
    for n in (342, *range(1, 341)):
        ranges.add(n)
    assert str(ranges) == "1-340,342"
