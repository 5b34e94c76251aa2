"""The `conserved` objective: totals that no fault may change, as the target itself says them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.recording.facts import all_over_ns, fault_facts
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording


class ConservedParams(Params):
    """`conserved: [gold]` is short for `conserved: { names: [gold] }`."""

    names: tuple[str, ...] = Field(min_length=1, description="Names of the totals that must never change")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return given if isinstance(given, dict) else {"names": given}


class ConservedChecker:
    """One finding a name: every total seen equals the first one of its service, and each service was seen before the
    first fault and after the last one was over. What is no finite number was not seen."""

    kind = ObjectiveKind(
        name="conserved",
        params=ConservedParams,
        summary="Totals that must never change, such as all the gold there is.",
        example="conserved: [gold]",
        needs=frozenset({"totals"}),
        shorthand={"type": "array", "items": {"type": "string"}, "minItems": 1},
    )

    def check(self, recording: Recording, params: ConservedParams) -> Checked:
        """Return one finding a name."""
        return Checked(tuple(judge_total(recording, name) for name in params.names))


def judge_total(recording: Recording, name: str) -> Finding:
    """Return whether a total stayed what it was."""
    calls_ns = [fault.called_ns for fault in fault_facts(recording) if fault.called_ns is not None]
    return _finding(name, _asked(recording), min(calls_ns, default=math.inf), all_over_ns(recording))


def totals_seen(recording: Recording) -> tuple[str, ...]:
    """Return the names of the totals that a service gave at least once, in alphabetical order."""
    given = (event.fields.get("values") for event in _asked(recording))
    return tuple(sorted({str(name) for values in given if isinstance(values, dict) for name in values}))


def _asked(recording: Recording) -> list[Event]:
    return [event for event in recording.events_named("observed") if event.fields.get("what") == "totals"]


def _finding(name: str, asked: list[Event], struck_ns: float, over_ns: float) -> Finding:
    seen = [(event, event.fields["values"][name]) for event in asked if _names(event, name)]
    first: dict[Any, float] = {}
    moved = [(event, value) for event, value in seen if value != first.setdefault(event.fields.get("service"), value)]
    unanswered = len(asked) - len(seen)
    if moved:
        status, why = Status.FAIL, f"{len(moved)} of {len(seen)} observations differ from the first"
    elif doubt := _unseen(name, [event for event, _ in seen], struck_ns, over_ns):
        status, why = Status.INCONCLUSIVE, doubt
    else:
        status, why = Status.PASS, f"{len(seen)} observations, all equal, the last one after the last fault was over"
    why += f"; {unanswered} times nobody answered with it" if unanswered else ""
    shown = (moved or seen)[-1] if seen else None
    service = shown[0].fields.get("service") if shown else None
    return Finding(
        name=f"conserved.{name}",
        checker="conserved",
        status=status,
        op="==",
        expected=Quantity(first.get(service) if shown else None, name),
        measured=Quantity(shown[1] if shown else None, name),
        uncertainty=0.0,
        why=why,
        evidence=tuple(
            Evidence("events.jsonl", f"at_ns {event.at_ns}", f"{event.fields.get('service')} said {name} = {value}")
            for event, value in [*seen[:1], *moved[:5]]
        ),
    )


def _unseen(name: str, seen: list[Event], struck_ns: float, over_ns: float) -> str | None:
    """Why equal observations show not that nothing changed: each service must be seen before and after the faults."""
    at_ns: dict[Any, list[int]] = {}
    for event in seen:
        at_ns.setdefault(event.fields.get("service"), []).append(event.at_ns)
    if not seen:
        return f"{name} was never observed"
    if any(min(times) > struck_ns for times in at_ns.values()):
        return f"{name} was not observed before the first fault"
    if any(len(times) < 2 or max(times) < over_ns for times in at_ns.values()):
        return f"{name} was not observed after the last fault was over"
    return None


def _names(event: Event, name: str) -> bool:
    values = event.fields.get("values")
    if event.fields.get("ok") is False or not isinstance(values, dict):
        return False
    value = values.get(name)
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


CHECKER = ConservedChecker()
