from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from chaosctl.experiment.units import (
    WRITTEN,
    BytesPerS,
    DurationNs,
    RatePerS,
    Share,
    SizeBytes,
    format_duration,
    format_size,
    parse_amount,
    parse_bytes_per_s,
    parse_change_per_s,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_size_bytes,
)

PARSERS = (parse_duration_ns, parse_share, parse_rate_per_s, parse_size_bytes, parse_bytes_per_s)
SCALE_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


@pytest.mark.parametrize(
    ("text", "ns"),
    [("80ms", 80e6), ("0.08s", 80e6), (".5s", 5e8), ("1m30s", 90e9), ("2h", 7200e9), (" 5s ", 5e9), (0, 0), ("0", 0)],
)
def test_durations_as_people_write_them(text: Any, ns: float) -> None:
    assert parse_duration_ns(text) == ns


@given(st.integers(0, 10**6), st.sampled_from(sorted(SCALE_NS)))
def test_a_whole_number_of_any_unit_is_exact(number: int, unit: str) -> None:
    assert parse_duration_ns(f"{number}{unit}") == number * SCALE_NS[unit]


@given(st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_of_a_duration_add_up(minutes: int, seconds: int, ms: int) -> None:
    parts = (f"{minutes}m", f"{seconds}s", f"{ms}ms")
    assert parse_duration_ns("".join(parts)) == sum(map(parse_duration_ns, parts))


@given(st.integers(0, 10**15))
def test_a_formatted_duration_reads_back_within_three_digits_or_whole_seconds(ns: int) -> None:
    back = parse_duration_ns(format_duration(ns).replace(" ", ""))
    assert abs(back - ns) <= (max(0.005 * ns, 0.5) if ns < 60e9 else 0.5e9)


def test_a_negative_duration_is_shown_with_its_sign() -> None:
    assert format_duration(-80e6) == "-80ms"


@given(st.integers(0, 100))
def test_shares_are_parts_of_one(percent: int) -> None:
    assert parse_share(f"{percent}%") == percent / 100


def test_rates_and_sizes() -> None:
    assert parse_rate_per_s("600/m") == parse_rate_per_s("10/s") == 10
    assert parse_size_bytes("64KiB") == 65536
    assert parse_size_bytes("1MB") == 10**6
    assert parse_bytes_per_s("64 KiB / s") == 65536


@given(st.integers(0, 10**12))
def test_a_formatted_size_reads_back_within_its_six_digits(size: int) -> None:
    assert abs(parse_size_bytes(format_size(size)) - size) <= max(1e-5 * size, 1)


@given(st.one_of(st.text(), st.integers(2), st.floats(), st.booleans(), st.none(), st.lists(st.integers())))
def test_nonsense_is_a_value_error_and_nothing_else(value: Any) -> None:
    for parse in PARSERS:
        try:
            number = parse(value)
        except ValueError as error:
            assert ";" in str(error)
        else:
            assert 0 <= number < float("inf")


@pytest.mark.parametrize("value", ["5", 5, 0.5, True, "5 apples", "-5s", "1e3s", "", "9" * 400 + "s", "s", None])
def test_a_duration_needs_a_unit(value: Any) -> None:
    with pytest.raises(ValueError, match="write it as 80ms"):
        parse_duration_ns(value)


def test_more_than_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 100%"):
        parse_share("101%")


class Quantities(BaseModel):
    duration: DurationNs = 0
    share: Share = 0
    rate: RatePerS = 0
    size: SizeBytes = 0
    bandwidth: BytesPerS = 0


@pytest.mark.parametrize("name", sorted(Quantities.model_fields))
def test_a_bare_number_passes_when_resolved_and_not_when_written(name: str) -> None:
    assert getattr(Quantities.model_validate({name: 5}), name) == 5
    with pytest.raises(ValidationError, match="write it as"):
        Quantities.model_validate({name: 5}, context=WRITTEN)
    with pytest.raises(ValidationError, match="write it as"):
        Quantities.model_validate({name: True})


@pytest.mark.parametrize(
    ("text", "per_s"),
    [("60MB/min", 1e6), ("1KiB/s", 1024), ("200/s", 200), ("30/min", 0.5), ("30/m", 0.5), ("36 KB / h", 10)],
)
def test_changes_over_time_are_of_bytes_or_of_things(text: str, per_s: float) -> None:
    assert parse_change_per_s(text) == pytest.approx(per_s)


@pytest.mark.parametrize(("text", "value"), [(100, 100), ("2.5", 2.5), ("64MB", 64e6), ("1 KiB", 1024)])
def test_amounts_are_bytes_or_things(text: Any, value: float) -> None:
    assert parse_amount(text) == value


@pytest.mark.parametrize("bad", [5, "5", "5MB", "MB/s", "5MB/min/s", "5/month", True, None])
def test_a_change_names_what_and_in_which_time(bad: Any) -> None:
    with pytest.raises(ValueError, match="not a change over time; write it as 2MB/min, 5MB/s or 200/s"):
        parse_change_per_s(bad)
    with pytest.raises(ValueError, match="not an amount; write it as 100 or 64MB"):
        parse_amount("5/s" if bad in (5, "5", "5MB") else bad)
