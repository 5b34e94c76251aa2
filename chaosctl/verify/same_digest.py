"""The `same_digest` objective: what a service holds after the load is what it holds after being killed and started.

The black-box form of a replay: a service that offers only a digest of its state is asked for it once the load is over,
killed with SIGKILL, started again, and asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording


class SameDigestParams(Params):
    """`same_digest: kill` is short for `same_digest: { after: kill }`."""

    after: Literal["kill"] = Field("kill", description="What the state must survive: `kill` is a SIGKILL and a start")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"after": given} if isinstance(given, str) else given


class SameDigestChecker:
    """One finding a service that offers a digest; digests are compared as text, so the comparison is exact."""

    kind = ObjectiveKind(
        name="same_digest",
        params=SameDigestParams,
        summary="A service has the same state digest before and after it is killed and started again.",
        example="same_digest: { after: kill }",
        needs=frozenset({"digest"}),
        shorthand={"const": "kill"},
    )

    def check(self, recording: Recording, params: SameDigestParams) -> Checked:
        """Return a finding a service; inconclusive where one of the two digests was not seen."""
        seen: dict[str, dict[str, Event]] = {}
        for event in recording.events_named("observed"):
            if event.fields.get("what") == "digest":
                moments = seen.setdefault(str(event.fields.get("service")), {})
                moments[str(event.fields.get("moment"))] = event
        if not seen:
            return Checked((_finding("", Status.INCONCLUSIVE, None, "no digest was asked for", ()),))
        return Checked(tuple(_judge(service, moments) for service, moments in sorted(seen.items())))


def _judge(service: str, moments: dict[str, Event]) -> Finding:
    evidence = tuple(
        Evidence("events.jsonl", f"at_ns {event.at_ns}", f"{moment} the kill: {_said(event)}")
        for moment, event in sorted(moments.items(), reverse=True)
    )
    missing = [m for m in ("before", "after") if m not in moments or not moments[m].fields.get("ok")]
    if missing:
        why = f"no digest {' nor '.join(missing)} the kill"
        return _finding(service, Status.INCONCLUSIVE, None, why, evidence)
    same = moments["before"].fields["digest"] == moments["after"].fields["digest"]
    why = "the state is the same" if same else "the state is another one: something was lost or changed"
    return _finding(service, Status.PASS if same else Status.FAIL, 0.0 if same else 1.0, why, evidence)


def _said(event: Event) -> str:
    return str(event.fields.get("digest") if event.fields.get("ok") else event.fields.get("error"))


def _finding(
    service: str, status: Status, differing: float | None, why: str, evidence: tuple[Evidence, ...]
) -> Finding:
    return Finding(
        name=f"same_digest.{service}" if service else "same_digest",
        checker="same_digest",
        status=status,
        op="<=",
        expected=Quantity(0.0, "differing digests"),
        measured=Quantity(differing, "differing digests"),
        uncertainty=0.0,
        why=why,
        evidence=evidence,
    )


CHECKER = SameDigestChecker()
