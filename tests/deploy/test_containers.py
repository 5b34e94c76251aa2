"""What the engine says of a container, taken apart."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.deploy.containers import _frames, exit_of


class Pieces:
    """An answer that comes in pieces."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, sizes

    def read1(self, most: int) -> bytes:
        size = min(most, self._sizes.pop() if self._sizes else most)
        piece, self._data = self._data[:size], self._data[size:]
        return piece


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=8),
    st.lists(st.integers(1, 12), max_size=60),
)
def test_the_output_is_what_was_printed_however_it_is_cut(printed: list[tuple[int, bytes]], sizes: list[int]) -> None:
    data = b"".join(bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for stream, text in printed)
    seen = b"".join(_frames(cast(Any, Pieces(data, sizes))))
    assert seen == b"".join(text for _, text in printed)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(0, (0, None)), (3, (3, None)), (128, (128, None)), (137, (None, "SIGKILL")), (143, (None, "SIGTERM")),
     (192, (None, "SIGRTMAX")), (193, (193, None)), (255, (255, None))],
)  # fmt: skip
def test_a_code_above_128_is_a_signal(code: int, expected: tuple[int | None, str | None]) -> None:
    ended = exit_of(7, code)
    assert (ended.at_ns, ended.code, ended.signal) == (7, *expected)
