"""What ends a run early: a bound on the live numbers of the load, a page that is unhealthy, a command that objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from chaosctl.experiment.units import DurationNs, format_duration, parse_duration_ns, parse_rate_per_s, parse_share

NUMBERS = ("errors", "p99", "throughput", "users")
WAYS = (*NUMBERS, "http", "command")
# What is counted is reported once a second.
LEAST_OVER_NS = 1_000_000_000
# Which way a key belongs to.
_BELONGS = {"over": NUMBERS, "unhealthy_for": ("http",), "folder": ("command",), "every": ("http", "command")}


@dataclass(frozen=True)
class Bound:
    """`> 50%` or `< 10/s`: more than, or less than, a value in the unit of what is bounded."""

    above: bool
    value: float

    def met(self, value: float) -> bool:
        """Return whether the value is beyond the bound."""
        return value > self.value if self.above else value < self.value


def parse_users(value: Any) -> int:
    """Return a whole number. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,7}", str(value)):
        raise ValueError(f"'{value}' is not a number of users; write it as 10")
    return int(value)


def _bound(parse: Callable[[str], float], example: str) -> BeforeValidator:
    def resolve(value: Any) -> Bound:
        if isinstance(value, Bound):
            return value
        match = re.fullmatch(r"\s*([<>])\s*([^<>=\s].*)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"'{value}' is not a bound; write it in quotes as \"{example}\"")
        return Bound(match[1] == ">", parse(match[2].strip()))

    return BeforeValidator(resolve)


def _bound_schema(value: str, example: str) -> WithJsonSchema:
    forms = [{"type": "string", "pattern": rf"^\s*[<>]\s*{value}$|\$\{{"}]
    return WithJsonSchema({"anyOf": forms, "description": f"A bound: `{example}`"})


_NUMBER = r"[0-9.]+"
ErrorsBound = Annotated[Bound, _bound(parse_share, "> 50%"), _bound_schema(rf"({_NUMBER}\s*%|[01])", "> 50%")]
P99Bound = Annotated[
    Bound, _bound(parse_duration_ns, "> 500ms"), _bound_schema(rf"({_NUMBER}(ns|us|[µμ]s|ms|s|m|h))+", "> 500ms")
]
ThroughputBound = Annotated[
    Bound, _bound(parse_rate_per_s, "< 10/s"), _bound_schema(rf"{_NUMBER}\s*/\s*[smh]", "< 10/s")
]
UsersBound = Annotated[Bound, _bound(parse_users, "< 10"), _bound_schema(r"[0-9]+", "< 10")]


def _page(value: str) -> str:
    parts = urlsplit(value)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        usable = False
    if not usable:
        raise ValueError(f"'{value}' is not the address of a page; write it as http://HOST:PORT/PATH")
    return value


class StopCondition(BaseModel):
    """One thing that ends the run early when it holds while the load is on. Exactly one of the ways."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    errors: ErrorsBound | None = Field(default=None, description="Share of operations that failed, over `over`")
    p99: P99Bound | None = Field(default=None, description="99th percentile of latency, all through `over`")
    throughput: ThroughputBound | None = Field(
        default=None, description="Operations a second that succeed, over `over`; counts after the ramp"
    )
    users: UsersBound | None = Field(
        default=None, description="Simulated users that run, all through `over`; counts after the ramp"
    )
    over_ns: DurationNs = Field(
        default=5_000_000_000, alias="over", ge=LEAST_OVER_NS, description="The last so many seconds are looked at"
    )
    http: Annotated[str, AfterValidator(_page)] | None = Field(
        default=None, description="A page of anybody's: healthy while GET answers 2xx"
    )
    unhealthy_for_ns: DurationNs = Field(
        default=3_000_000_000, alias="unhealthy_for", description="How long the page has to be unhealthy"
    )
    command: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="A command: the run goes on while it exits with 0"
    )
    folder: str = Field(default=".", description="Working folder of the command, relative to this file")
    every_ns: DurationNs = Field(
        default=1_000_000_000, alias="every", ge=100_000_000, description="How often the page or the command is asked"
    )

    @model_validator(mode="after")
    def _one_way(self) -> StopCondition:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(WAYS)}")
        for key, ways in _BELONGS.items():
            name = next(n for n, field in StopCondition.model_fields.items() if (field.alias or n) == key)
            if name in self.model_fields_set and given[0] not in ways:
                raise ValueError(f"'{key}' does not go with {given[0]}, but with {', '.join(ways)}; leave it out")
        return self

    @property
    def way(self) -> str:
        """Return which of `WAYS` it is."""
        return next(way for way in WAYS if getattr(self, way) is not None)

    @property
    def bound(self) -> Bound | None:
        """Return the bound of a condition on a number."""
        return getattr(self, self.way) if self.way in NUMBERS else None

    def __str__(self) -> str:
        """Return it as people write it: `errors > 50% over 5s`."""
        if self.bound is not None:
            sign = ">" if self.bound.above else "<"
            over = format_duration(self.over_ns)
            return f"{self.way} {sign} {in_its_unit(self.way, self.bound.value)} over {over}"
        if self.http is not None:
            return f"{self.http} unhealthy for {format_duration(self.unhealthy_for_ns)}"
        return f"`{' '.join(self.command or ())}` objects"


def in_its_unit(way: str, value: float) -> str:
    """Return a value of `errors`, `p99`, `throughput` or `users` for people."""
    if way == "errors":
        return f"{value * 100:.3g}%"
    if way == "p99":
        return format_duration(value)
    return f"{value:.3g}/s" if way == "throughput" else f"{value:.0f}"
