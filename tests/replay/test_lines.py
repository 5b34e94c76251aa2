"""What is noticed in the lines of a replay, however they are cut on the way."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.replay.lines import TickLines

GOOD = b'{"tick": 1, "digest": "a"}\n{"tick": 2, "digest": "b", "state": {}}\n'


def watch(*parts: bytes) -> TickLines:
    lines = TickLines()
    for part in parts:
        lines.feed(part)
    lines.end()
    return lines


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30, unique=True).map(sorted),
    st.lists(st.integers(0, 2000), max_size=10),
)
def test_ticks_are_counted_wherever_the_stream_is_cut(ticks: list[int], cuts: list[int]) -> None:
    data = b"".join(json.dumps({"tick": tick, "digest": "d"}).encode() + b"\n" for tick in ticks)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    seen = watch(*(data[start:end] for start, end in pairwise(edges)))
    assert (seen.ticks, seen.error) == (len(ticks), None)


@given(st.integers(1, len(GOOD) - 1))
def test_a_stream_that_breaks_off_in_a_line_is_never_taken_for_a_whole_one(at: int) -> None:
    whole_lines = GOOD[:at].endswith(b"\n")
    assert (watch(GOOD[:at]).error is None) == whole_lines


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "it printed no tick"),
        (b"\n\n", "it printed no tick"),
        (b"starting up\n" + GOOD, "line 1 is not"),
        (GOOD + b"[1, 2]\n", "line 3 is not"),
        (GOOD + b'{"tick": "3", "digest": "c"}\n', "line 3 is not"),
        (GOOD + b'{"tick": true, "digest": "c"}\n', "line 3 is not"),
        (GOOD + b'{"tick": 3}\n', "line 3 is not"),
        (GOOD + b"\xff\xfe\n", "line 3 is not"),
        (GOOD + b'{"tick": 2, "digest": "b"}\n', "tick 2 comes after tick 2"),
        (GOOD + b'{"tick": 1, "digest": "b"}\n', "tick 1 comes after tick 2"),
        (GOOD + b'{"tick": 3, "dig', "its last line is cut"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, sentence: str) -> None:
    error = watch(data).error
    assert error is not None and sentence in error


def test_the_first_thing_wrong_is_the_one_that_is_told() -> None:
    error = watch(b"one\ntwo\n").error
    assert error is not None and "'one'" in error


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    seen = watch(*[b"x" * 2**20] * 40)
    assert seen.error is not None and "longer than 16 MiB" in seen.error
