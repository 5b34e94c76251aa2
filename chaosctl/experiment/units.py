"""Quantities with units as people write them: `80ms`, `2m`, `15%`, `10/s`, `64KiB`.

Each `parse_*` takes what stood in the file and returns a plain number, or raises `ValueError` with a sentence that
names the mend. A bare number is refused (except zero): a reader must not have to guess its unit. Models refuse it in
what people wrote (validated with the context `WRITTEN`), and take it from what was resolved before, such as a plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, WithJsonSchema

WRITTEN: Mapping[str, bool] = {"written": True}
NS_PER_S = 1_000_000_000
_TIME_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_SIZE_UNITS = {"B": 1, "KB": 1_000, "MB": 10**6, "GB": 10**9, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_RATE_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
# At most 12 digits on each side of the point: no number overflows.
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})"


def _split(value: Any, pattern: str, what: str, examples: str) -> re.Match[str]:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        shown = f"'{str(value).lower()}'" if isinstance(value, bool) else repr(value)  # as YAML writes it
        raise ValueError(f"{shown} is not {what}; write it as {examples}")
    match = re.fullmatch(pattern, str(value).strip())
    if match is None:
        raise ValueError(f"'{value}' is not {what}; write it as {examples}")
    return match


def parse_duration_ns(value: Any) -> int:
    """Return nanoseconds for `80ms`, `1.5s`, `2m`, `1m30s`; 0 needs no unit. Raises ValueError."""
    if not isinstance(value, bool) and value in (0, "0"):
        return 0
    part = rf"{_NUMBER}(ns|us|[µμ]s|ms|s|m|h)"
    _split(value, rf"(?:{part})+", "a duration", "80ms, 1.5s, 2m or 1m30s")
    return round(sum(float(n) * _TIME_UNITS_NS[unit] for n, unit in re.findall(part, str(value))))


def parse_share(value: Any) -> float:
    """Return 0..1 for `15%`; 0 and 1 need no sign. Raises ValueError."""
    if not isinstance(value, bool) and value in (0, 1, "0", "1"):
        return float(value)
    match = _split(value, rf"{_NUMBER}\s*%", "a share", "15%")
    share = float(match[1]) / 100
    if share > 1:
        raise ValueError(f"'{value}' is more than the whole; write at most 100%")
    return share


def parse_rate_per_s(value: Any) -> float:
    """Return events a second for `10/s`, `600/m`. Raises ValueError."""
    match = _split(value, rf"{_NUMBER}\s*/\s*(s|m|h)", "a rate", "10/s or 600/m")
    return float(match[1]) / _RATE_UNITS_S[match[2]]


def parse_size_bytes(value: Any) -> int:
    """Return bytes for `64KiB`, `1MB`, `512B`. Raises ValueError."""
    match = _split(value, rf"{_NUMBER}\s*(B|KB|MB|GB|KiB|MiB|GiB)", "a size", "64KiB, 1MB or 512B")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])


def parse_bytes_per_s(value: Any) -> int:
    """Return bytes a second for `64KiB/s`. Raises ValueError."""
    match = _split(value, r"(.+?)\s*/\s*s", "a bandwidth", "64KiB/s or 1MB/s")
    return parse_size_bytes(match[1])


def parse_change_per_s(value: Any) -> float:
    """Return bytes, or events, a second for `2MB/min`, `5MB/s`, `200/s`, `10/min`. Raises ValueError."""
    pattern = rf"{_NUMBER}\s*(B|KB|MB|GB|KiB|MiB|GiB)?\s*/\s*(s|min|m|h)"
    match = _split(value, pattern, "a change over time", "2MB/min, 5MB/s or 200/s")
    return float(match[1]) * _SIZE_UNITS.get(match[2], 1) / _RATE_UNITS_S[match[3].removesuffix("in")]


def parse_amount(value: Any) -> float:
    """Return a number for `100`, or bytes for `64MB`. Raises ValueError."""
    match = _split(value, rf"{_NUMBER}\s*(B|KB|MB|GB|KiB|MiB|GiB)?", "an amount", "100 or 64MB")
    return float(match[1]) * _SIZE_UNITS.get(match[2], 1)


def parse_offset_ns(value: Any) -> int:
    """Return nanoseconds for `+30s`, `-1h`, `500ms`. Raises ValueError."""
    text = str(value).strip()
    signed = isinstance(value, str) and text[:1] in ("+", "-")
    try:
        duration_ns = parse_duration_ns(text[1:] if signed else value)
    except ValueError as error:
        raise ValueError(f"'{value}' is not an offset; write it as +30s, -1h or 500ms") from error
    return -duration_ns if text.startswith("-") else duration_ns


def format_duration(value_ns: float) -> str:
    """Return nanoseconds for people: `0`, `850µs`, `80ms`, `1.25s`, `2m 5s`."""
    if value_ns == 0:
        return "0"
    sign, ns = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if ns < 999_500:
        return f"{sign}{ns / 1e3:.3g}µs"
    if ns < 999.5e6:
        return f"{sign}{ns / 1e6:.3g}ms"
    if ns < 60e9:
        return f"{sign}{ns / 1e9:.3g}s"
    minutes, seconds = divmod(round(ns / 1e9), 60)
    return f"{sign}{minutes}m {seconds}s" if seconds else f"{sign}{minutes}m"


def format_size(value_bytes: float) -> str:
    """Return bytes for people, in powers of 1024: `512B`, `64KiB`, `1.5MiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if value_bytes >= _SIZE_UNITS[unit]:
            return f"{value_bytes / _SIZE_UNITS[unit]:.6g}{unit}"
    return f"{value_bytes:.6g}B"


def _quantity(parse: Callable[[Any], float]) -> BeforeValidator:
    """Return the validator that resolves what people wrote, and lets pass what is resolved already."""

    def resolve(value: Any, info: ValidationInfo) -> Any:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        written = bool(info.context and info.context.get("written"))
        return value if number and not written else parse(value)

    return BeforeValidator(resolve)


def _unit_schema(description: str, pattern: str, *bare: int) -> WithJsonSchema:
    """Return the schema of a quantity that is written as text, except for the numbers in `bare`."""
    forms: list[dict[str, Any]] = [{"type": "string", "pattern": pattern}]
    return WithJsonSchema({"anyOf": [*forms, {"enum": list(bare)}] if bare else forms, "description": description})


_DIGITS = r"[0-9.]+"
_TIME = "(ns|us|[µμ]s|ms|s|m|h)"
_SIZE = "(B|[KMG]i?B)"
DurationNs = Annotated[
    int,
    _quantity(parse_duration_ns),
    _unit_schema("A duration: 80ms, 1.5s, 2m", rf"^({_DIGITS}{_TIME})+$|^0$|\$\{{", 0),
]
OffsetNs = Annotated[
    int,
    _quantity(parse_offset_ns),
    _unit_schema("An offset: +30s, -1h, 500ms", rf"^[+-]?({_DIGITS}{_TIME})+$|^0$|\$\{{", 0),
]
Share = Annotated[
    float,
    _quantity(parse_share),
    _unit_schema("A share: 15%", rf"^{_DIGITS}\s*%$|^[01]$|\$\{{", 0, 1),
]
RatePerS = Annotated[
    float,
    _quantity(parse_rate_per_s),
    _unit_schema("A rate: 10/s, 600/m", rf"^{_DIGITS}\s*/\s*[smh]$|\$\{{"),
]
SizeBytes = Annotated[
    int,
    _quantity(parse_size_bytes),
    _unit_schema("A size: 64KiB, 1MB", rf"^{_DIGITS}\s*{_SIZE}$|\$\{{"),
]
ChangePerS = Annotated[
    float,
    _quantity(parse_change_per_s),
    _unit_schema("A change over time: 2MB/min, 200/s", rf"^{_DIGITS}\s*{_SIZE}?\s*/\s*(s|min|m|h)$|\$\{{"),
]
Amount = Annotated[
    float,
    _quantity(parse_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^{_DIGITS}\s*{_SIZE}?$|\$\{{"},
                {"type": "number", "minimum": 0},
            ],
            "description": "A number, or bytes: 100, 64MB",
        }
    ),
]
BytesPerS = Annotated[
    int,
    _quantity(parse_bytes_per_s),
    _unit_schema("A bandwidth: 64KiB/s", rf"^{_DIGITS}\s*{_SIZE}\s*/\s*s$|\$\{{"),
]
