"""The `same_digest` objective: what a service holds after the load is what it holds after being killed and started.

The black-box form of a replay: a service that offers only a digest of its state is asked for it once the load is over,
killed with SIGKILL, started again, and asked again; or killed, given back a backup that was taken right after the first
question, started, and asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.model import Event
    from chaosctl.recording.reader import Recording


Survived = Literal["kill", "restore"]
# The moment of the question that shows it, and how it is called.
MOMENTS: Mapping[str, tuple[str, str]] = {"kill": ("after", "the kill"), "restore": ("restored", "the restore")}


class SameDigestParams(Params):
    """`same_digest: kill` is short for `same_digest: { after: [kill] }`."""

    after: tuple[Survived, ...] = Field(
        ("kill",),
        min_length=1,
        description="What the state must survive: `kill` (SIGKILL and a start), `restore` (a backup is put back)",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"after": (given,)}
        if isinstance(given, dict) and isinstance(given.get("after"), str):
            return {**given, "after": (given["after"],)}
        return given


class SameDigestChecker:
    """One finding a service that offers a digest; digests are compared as text, so the comparison is exact."""

    kind = ObjectiveKind(
        name="same_digest",
        params=SameDigestParams,
        summary="A service has the same state digest after it is killed and started again, or restored from a backup.",
        example="same_digest: { after: [kill, restore] }",
        needs=frozenset({"digest", "restarts"}),
        shorthand={"enum": ["kill", "restore"]},
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
        judged = (finding for service, moments in sorted(seen.items()) for finding in _judged(service, moments, params))
        return Checked(tuple(judged))


def _judged(service: str, seen: Mapping[str, Event], params: SameDigestParams) -> Iterator[Finding]:
    for survived in params.after:
        moment, words = MOMENTS[survived]
        # As long as it is only a kill, the finding needs no longer name.
        name = service if survived == "kill" else f"{service}.restored"
        yield _judge(name, {one: seen[one] for one in ("before", moment) if one in seen}, ("before", moment), words)


def _judge(name: str, moments: Mapping[str, Event], wanted: Sequence[str], words: str) -> Finding:
    called = {wanted[0]: "before", wanted[1]: "after"}
    evidence = tuple(
        Evidence("events.jsonl", f"at_ns {event.at_ns}", f"{called[moment]} {words}: {_said(event)}")
        for moment, event in moments.items()
    )
    missing = [called[m] for m in wanted if m not in moments or not moments[m].fields.get("ok")]
    if missing:
        said = dict.fromkeys(_said(event) for event in moments.values() if not event.fields.get("ok"))
        why = ": ".join([f"no digest {' nor '.join(missing)} {words}", *(["; ".join(said)] if said else [])])
        return _finding(name, Status.INCONCLUSIVE, None, why, evidence)
    same = moments[wanted[0]].fields["digest"] == moments[wanted[1]].fields["digest"]
    why = "the state is the same" if same else "the state is another one: something was lost or changed"
    return _finding(name, Status.PASS if same else Status.FAIL, 0.0 if same else 1.0, why, evidence)


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
