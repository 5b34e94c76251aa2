"""The `metrics` objective: numbers of the services, sampled while the load is on, stay within limits.

The numbers are what a service offers (`offers.metrics`), and what the kernel says of its processes: `memory_bytes`
(resident), `cpu_seconds`, `threads`, `open_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from chaosctl.experiment.frozen import Name
from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import Amount, ChangePerS, DurationNs, Share, format_duration
from chaosctl.recording.facts import During, windows
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.numbers import Measured, Seen

_BYTES_PER_MB = 1_000_000
_S_PER_MIN = 60


class NumberLimits(Params):
    """Upper limits of one number, any of them."""

    growth_per_s: ChangePerS | None = Field(
        None, alias="growth", description="In no process does it grow faster: 2MB/min. The slope over its samples"
    )
    rate_per_s: ChangePerS | None = Field(
        None, alias="rate", description="A counter of all replicas together grows by at most so much: 5MB/s"
    )
    spread: Share | None = Field(
        None, description="Over the replicas, the greatest minus the least is at most this share of their mean"
    )
    at_most: Amount | None = Field(None, description="In no replica is it ever more: 100, 64MB")
    during: During = Field("all", description="Which stretch: baseline, steady, faults or all")
    settle_ns: DurationNs = Field(3_000_000_000, alias="settle", description="`steady` starts so long after a heal")

    @model_validator(mode="after")
    def _something(self) -> NumberLimits:
        if not self.limits():
            raise ValueError("give at least one of growth, rate, spread, at_most")
        return self

    def limits(self) -> dict[str, float]:
        """Return the limits given, by name, in base units a second."""
        named = {
            "growth": self.growth_per_s,
            "rate": self.rate_per_s,
            "spread": self.spread,
            "at_most": self.at_most,
        }
        return {name: limit for name, limit in named.items() if limit is not None}


class MetricsParams(Params):
    """Limits by service and number: `metrics: { world: { memory_bytes: { growth: 2MB/min } } }`."""

    by_service: dict[Name, dict[str, NumberLimits]] = Field(
        min_length=1, description="Limits by the name of the service and of the number"
    )

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, given: Any) -> Any:
        # No service has a name with an underscore.
        return {"by_service": given} if isinstance(given, Mapping) and "by_service" not in given else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema of what stands in a file: the services are its keys."""
        reference = handler(core)
        written = handler.resolve_ref_schema(reference)
        written |= {
            **written.pop("properties")["by_service"],
            "description": cls.__doc__,
            "additionalProperties": False,
        }
        del written["required"]
        return reference

    def numbers(self) -> Iterator[tuple[str, str]]:
        """Yield every number that is judged, as (service, number)."""
        yield from ((service, number) for service, numbers in self.by_service.items() for number in numbers)


class MetricsChecker:
    """Numbers of the services within their limits, as sampled twice a second. A finding a limit.

    growth: the Theil-Sen slope within each process, with its 95 % interval as ±; of several replicas the steepest.
    It fails only when the whole interval is above the limit, and passes only when the whole of it is not.
    rate: what a counter rose by, over the time between the first and the last sample of each stretch, all replicas
    together; a counter that starts again goes on from zero. spread: the median over the samples.
    at_most: the greatest sample. What not every replica answered at least half of the times, and of the time, cannot
    pass. Neither can a rate or a spread of what is less than nothing.
    """

    kind = ObjectiveKind(
        name="metrics",
        params=MetricsParams,
        summary="Numbers that the services offer, and their memory, CPU time, threads and open files, within limits.",
        example="metrics: { world: { memory_bytes: { growth: 2MB/min } }, gateway: { clients: { spread: 40% } } }",
        numbers=MetricsParams.numbers,
    )

    def check(self, recording: Recording, params: MetricsParams) -> Checked:
        """Return one finding a limit; inconclusive where there are too few samples."""
        from chaosctl.verify.measure.numbers import seen

        findings = []
        for service, numbers in params.by_service.items():
            for number, limits in numbers.items():
                spans = windows(recording, limits.during, limits.settle_ns)
                samples = seen(recording, service, number, spans)
                findings += [
                    _finding(f"{service}.{number}", name, limit, samples, limits.during)
                    for name, limit in limits.limits().items()
                ]
        return Checked(tuple(findings))


def _finding(number: str, limit_name: str, limit: float, samples: Seen, during: str) -> Finding:
    unit, scale = _unit(number, limit_name)
    measured = _ways()[limit_name](samples)
    answered = f"{samples.answered} of {samples.asked} times it was asked during {during}"
    base: Mapping[str, Any] = {
        "name": f"metrics.{number}.{limit_name}",
        "checker": "metrics",
        "op": "<=",
        "expected": Quantity(limit * scale, unit),
    }
    if isinstance(measured, str):
        why = f"{measured}; {number} was answered {answered}"
        return Finding(**base, status=Status.INCONCLUSIVE, measured=Quantity(None, unit), uncertainty=0.0, why=why)
    status, why = _judge(measured, limit, samples, number.partition(".")[0])
    return Finding(
        **base,
        status=status,
        measured=Quantity(measured.value * scale, unit),
        uncertainty=measured.half_width * scale,
        why=f"{why}{measured.how}; answered {answered}",
        evidence=tuple(
            Evidence("events.jsonl", f"at_ns {one.at_ns}", _said(number, one.replica, one.value, one.at_ns))
            for one in measured.shown
        ),
    )


def _judge(measured: Measured, limit: float, samples: Seen, service: str) -> tuple[Status, str]:
    if measured.low > limit:
        return Status.FAIL, ""
    if measured.high > limit:
        return Status.INCONCLUSIVE, "the limit lies within the interval; "
    if samples.unheard:
        named = ", ".join(f"{service}[{replica}]" for replica in samples.unheard)
        return Status.INCONCLUSIVE, f"most of the time {named} did not answer; "
    return Status.PASS, ""


def _ways() -> Mapping[str, Callable[[Seen], Measured | str]]:
    from chaosctl.verify.measure.numbers import greatest, growth, rate, spread

    return {"growth": growth, "rate": rate, "spread": spread, "at_most": greatest}


def _unit(number: str, limit_name: str) -> tuple[str, float]:
    """Return the unit to show, and how many of it one base unit (a second) is."""
    in_bytes = number.endswith("bytes")
    scale = 1 / _BYTES_PER_MB if in_bytes else 1.0
    match limit_name:
        case "growth":
            return ("MB/min" if in_bytes else "per min"), scale * _S_PER_MIN
        case "rate":
            return ("MB/s" if in_bytes else "1/s"), scale
        case "spread":
            return "share", 1.0
        case _:
            return ("MB" if in_bytes else "count"), scale


def _said(number: str, replica: int, value: float, at_ns: int) -> str:
    service, _, name = number.partition(".")
    return f"{service}[{replica}] said {name} = {value:.10g} at {format_duration(at_ns)}"


CHECKER = MetricsChecker()
