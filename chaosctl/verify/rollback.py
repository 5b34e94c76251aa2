"""The `rollback` objective: what a fault takes back, it takes back as a whole, soon, and not deeper than is allowed.

Every game event that was in flight at a fault (started, and not over, when the fault was called) is followed to one
end, by what the bots that take part in it were told:

- resumed: it was settled, within `resume_within` of the fault's call
- rolled back: it was rolled back, for everybody who was told
- both: one bot was told two different ends
- half-applied: two bots were told different ends, or one an end and another that there is no such event, or, more than
  `resume_within` after that end and without an end of its own afterwards, that it is still open
- neither: the target knows it no more, or says after `resume_within` that it is still open, and nobody was told an end
- late: it was settled later than `resume_within` after the call, and should have been rolled back by then
- not seen: nobody was told anything conclusive afterwards, or another event of the same name began after its end; this
  is inconclusive

Both, half-applied, neither and late fail. An event in flight over several faults is counted at each of them, and judged
once, by the last fault before its end. Of a lasting fault, too, time counts from its call. When a bot is told counts as
when it happened, since that is when players know.

Depth is what had been acknowledged before the fault and is in no read that was asked for after it: how many elements,
and how long before the call the oldest of them was acknowledged. Adds of unknown outcome may be there or not. A set
was looked at only if it was read after the fault was over (healed if it lasts, otherwise applied), and so after each
fault, since the last one may take what an earlier one left. What is gone must be the end of what each writer (a bot, in
one set) did: where a later add of it is still there, there is a hole. A value that a reader misses, though it was
acknowledged or read before, and that is there again later, went and came back; to see that, a set has to be read twice
after a fault. Without a limit of its own, depth is shown and not judged.

Observed is when a reader first missed something, settled when the last event in flight had ended and the last of what
is gone was missed; both count from the call, and are uncertain by the time since somebody last tried to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import DurationNs, format_duration
from chaosctl.verify.conserved import judge_total, totals_seen
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.aftermath import Took
    from chaosctl.verify.measure.depth import Element
    from chaosctl.verify.measure.rollbacks import Case, Rollback, Rollbacks

_RANK = {Status.FAIL: 2, Status.INCONCLUSIVE: 1, Status.PASS: 0}
_SHOWN = 10


class RollbackParams(Params):
    """The target's own policy, and limits. What is left out is measured and not judged."""

    resume_within_ns: DurationNs | None = Field(
        None, alias="resume_within", description="An event that is not over so long after a fault must be rolled back"
    )
    depth_ns: DurationNs | None = Field(
        None, alias="depth", description="What is gone was acknowledged at most so long before the fault"
    )
    lost: int | None = Field(None, ge=0, description="So many acknowledged operations may be gone after one fault")
    observed_ns: DurationNs | None = Field(
        None, alias="observed", description="A reader misses what is gone within this time"
    )
    settled_ns: DurationNs | None = Field(
        None, alias="settled", description="Nothing that was in flight or is gone changes after this time"
    )


class RollbackChecker:
    """One row a fault; each finding is the worst over the faults."""

    kind = ObjectiveKind(
        name="rollback",
        params=RollbackParams,
        summary="What becomes of events in flight at a fault, and how much of what was acknowledged it takes back.",
        example="rollback: { resume_within: 30s, depth: 1s, settled: 5s }",
        needs=frozenset({"history", "faults"}),
    )

    def check(self, recording: Recording, params: RollbackParams) -> Checked:
        """Return `rollback.order`, `rollback.came_back`, a finding for each limit and for totals that were seen, and
        the table `rollback` with a `RollbackRow` a fault."""
        from chaosctl.verify.measure.rollbacks import rollbacks

        seen = rollbacks(recording, params)
        findings = [] if params.resume_within_ns is None else [_ends(seen, params.resume_within_ns)]
        findings += [_order(seen), _came_back(seen)]
        if params.depth_ns is not None:
            findings.append(_depth(seen, params.depth_ns))
        if params.lost is not None:
            findings.append(_lost(seen, params.lost))
        for name, limit_ns in (("observed", params.observed_ns), ("settled", params.settled_ns)):
            if limit_ns is not None:
                findings.append(_timed(seen, name, limit_ns))
        findings += _conserved(recording)
        return Checked(tuple(findings), {"rollback": tuple(asdict(one.row) for one in seen.faults)})


def _finding(
    name: str,
    status: Status,
    expected: Quantity,
    measured: Quantity,
    why: str,
    evidence: Sequence[Evidence],
    uncertainty: float = 0.0,
) -> Finding:
    return Finding(
        f"rollback.{name}", "rollback", status, "<=", expected, measured, uncertainty, why, tuple(evidence)[:_SHOWN]
    )


def _ends(seen: Rollbacks, resume_within_ns: int) -> Finding:
    from chaosctl.verify.measure.rollbacks import WRONG

    shown = [case for case in seen.cases if case.fate in WRONG] or seen.cases
    followed = any(one.in_flight for one in seen.faults)
    unclear = seen.unseen or not seen.faults or not all(one.in_flight for one in seen.faults)
    status = Status.FAIL if seen.wrong else Status.INCONCLUSIVE if unclear else Status.PASS
    why = "; ".join(_counted(one) for one in seen.faults) or "no fault was injected, so nothing was in flight at one"
    evidence = [_case(case, resume_within_ns) for case in shown]
    measured = Quantity(seen.wrong if followed else None, "count")
    return _finding("ends", status, Quantity(0, "count"), measured, why, evidence)


def _counted(one: Rollback) -> str:
    if not one.in_flight:
        return f"{one.fault.id}: no event was in flight, so nobody saw what it does to one"
    parts = [f"{count} {FATES[fate.name]}" for fate, count in one.fates.items() if count]
    return f"{one.fault.id}: of {one.in_flight} events in flight {', '.join(parts)}"


FATES = {
    "RESUMED": "resumed",
    "ROLLED_BACK": "rolled back",
    "BOTH": "both",
    "HALF_APPLIED": "half-applied",
    "NEITHER": "neither",
    "LATE": "settled too late",
    "NOT_SEEN": "not seen to end",
}


def _case(case: Case, resume_within_ns: int) -> Evidence:
    from chaosctl.verify.measure.flights import in_words

    text = f"{case.event}, in flight at {case.fault}, {FATES[case.fate.name]}; {in_words(case.told)}"
    if case.fate.name == "LATE":
        text += f"; {case.fault} was called at {case.called_ns / 1e9:.3f}s"
        text += f", and nothing may be resumed more than {format_duration(resume_within_ns)} later"
    return Evidence("history.jsonl", f"id {case.told[-1].id}", text)


def _order(seen: Rollbacks) -> Finding:
    holes = sum(one.depth.holes for one in seen.faults)
    gone = sum(one.depth.gone for one in seen.faults)
    doubt = _unlooked(seen)
    status = Status.FAIL if holes else Status.INCONCLUSIVE if doubt else Status.PASS
    why = f"{holes} of the {gone} acknowledged operations that are gone have a later one of the same writer still there"
    why = "nothing that was acknowledged is gone" if not gone else why
    evidence = [_hole(element) for one in seen.faults for element in one.depth.first_holes]
    measured = Quantity(None if status is Status.INCONCLUSIVE else holes, "count")
    return _finding("order", status, Quantity(0, "count"), measured, doubt or why, evidence)


def _unlooked(seen: Rollbacks) -> str | None:
    """Why not all that was acknowledged before the faults can be judged."""
    if not seen.faults:
        return "no fault was injected, so nothing can have been rolled back"
    if not any(one.depth.acknowledged for one in seen.faults):
        return "nothing was acknowledged before a fault, so nothing can have been rolled back"
    unseen = max(one.depth.unseen for one in seen.faults)
    return f"{unseen} acknowledged operations were never looked for after a fault, so nobody knows" if unseen else None


def _hole(element: Element) -> Evidence:
    text = (
        f"{_gone(element).text}, and still has {element.kept} (id {element.kept_id}), which {element.bot} added later"
    )
    return Evidence("history.jsonl", f"id {element.id}", text)


def _gone(element: Element) -> Evidence:
    text = (
        f"{element.bot} added {element.element} to {element.key}, acknowledged at {element.acked_ns / 1e9:.3f}s; "
        f"the read {element.read_id} at {element.read_ns / 1e9:.3f}s lacks it"
    )
    return Evidence("history.jsonl", f"id {element.id}", text)


def _came_back(seen: Rollbacks) -> Finding:
    sets = seen.sets.sets
    count = sets.returned_count
    nothing = not (count or seen.sets.read_again)
    status = Status.FAIL if count else Status.INCONCLUSIVE if nothing else Status.PASS
    why = f"{count} elements were missing from a read and there again in a later one"
    evidence = [
        Evidence(
            "history.jsonl",
            f"id {one.again_id}",
            f"{one.element} was missing from the read {one.lacking_id} of {one.key} at "
            f"{one.lacking_ns / 1e9:.3f}s; the read {one.again_id} at {one.again_ns / 1e9:.3f}s has it",
        )
        for one in sets.returned
    ]
    why = "no set was read twice after a fault, so nobody can have seen anything go and come back" if nothing else why
    measured = Quantity(None if nothing else count, "count")
    return _finding("came_back", status, Quantity(0, "count"), measured, why, evidence)


def _depth(seen: Rollbacks, limit_ns: int) -> Finding:
    judged = [
        (at_most(one.age_ns, None if one.depth.unseen else one.age_ns, limit_ns), one)
        for one in seen.faults
        if one.depth.acknowledged or one.depth.gone or one.depth.unseen
    ]
    if not judged:
        return _nothing("depth", Quantity(limit_ns, "ns"), _unlooked(seen) or "")
    status, worst = max(judged, key=lambda pair: (_RANK[pair[0]], pair[1].age_ns))
    why = "; ".join(_deep(one) for _, one in judged)
    evidence = [_gone(element) for _, one in judged for element in one.depth.first]
    measured = Quantity(worst.age_ns, "ns", censored=status is Status.INCONCLUSIVE)
    return _finding("depth", status, Quantity(limit_ns, "ns"), measured, why, evidence, worst.row.uncertainty_ns)


def _deep(one: Rollback) -> str:
    text = f"{one.fault.id}: {one.depth.gone} of {one.depth.acknowledged} acknowledged operations are gone"
    if one.depth.gone:
        text += f", the oldest was acknowledged {format_duration(one.age_ns)} before it"
    return text + (f", {one.depth.unseen} were never looked for" if one.depth.unseen else "")


def _lost(seen: Rollbacks, limit: int) -> Finding:
    judged = [
        (at_most(one.depth.gone, None if one.depth.unseen else one.depth.gone, limit), one)
        for one in seen.faults
        if one.depth.acknowledged or one.depth.gone or one.depth.unseen
    ]
    if not judged:
        return _nothing("lost", Quantity(limit, "count"), _unlooked(seen) or "")
    status, worst = max(judged, key=lambda pair: (_RANK[pair[0]], pair[1].depth.gone))
    if seen.torn and status is Status.FAIL:
        status = Status.INCONCLUSIVE
    why = "; ".join(_deep(one) for _, one in judged)
    evidence = [_gone(element) for _, one in judged for element in one.depth.first]
    return _finding("lost", status, Quantity(limit, "count"), Quantity(worst.depth.gone, "count"), why, evidence)


def _nothing(name: str, limit: Quantity, why: str) -> Finding:
    return _finding(name, Status.INCONCLUSIVE, limit, Quantity(None, limit.unit), why, ())


def _timed(seen: Rollbacks, name: str, limit_ns: int) -> Finding:
    judged = [_time(seen, one, name, limit_ns) for one in seen.faults]
    if not judged:
        return _nothing(name, Quantity(limit_ns, "ns"), _unlooked(seen) or "")
    status, took, why, uncertainty_ns = max(
        judged, key=lambda one: (_RANK[one[0]], one[1].seen_or_least_ns if one[1] else -1)
    )
    measured = Quantity(None, "ns")
    if took is not None:
        measured = Quantity(took.seen_or_least_ns, "ns", censored=took.seen_ns is None)
    evidence = [_place(one, name, text) for one, (_, _, text, _) in zip(seen.faults, judged, strict=True)]
    return _finding(name, status, Quantity(limit_ns, "ns"), measured, why, evidence, uncertainty_ns)


def _time(seen: Rollbacks, one: Rollback, name: str, limit_ns: int) -> tuple[Status, Took | None, str, int]:
    """Judge one fault against one limit. In a torn recording what came later may be missing: nothing took too long."""
    row, fault = one.row, one.fault.id
    took: Took | None = getattr(one, name)
    if took is None and name == "observed":
        if one.depth.unseen or not one.depth.acknowledged:
            return Status.INCONCLUSIVE, None, f"{fault}: nobody looked for what may be gone", 0
        return Status.PASS, _no_time(), f"{fault}: nothing is gone, so there was nothing to see", row.uncertainty_ns
    if took is None:
        return Status.INCONCLUSIVE, None, f"{fault}: nothing was in flight and nothing had been acknowledged", 0
    status = at_most(took.least_ns, took.seen_ns, limit_ns)
    if seen.torn and status is Status.FAIL:
        status = Status.INCONCLUSIVE
    time = format_duration(took.seen_or_least_ns)
    if took.seen_ns is None:
        return status, took, f"{fault}: not {name} for more than {time}, as far as was seen", row.uncertainty_ns
    uncertainty_ns = row.observed_uncertainty_ns if name == "observed" else row.settled_uncertainty_ns
    why = f"{fault}: {name} {time} after the call"
    if status is Status.INCONCLUSIVE:
        why += f", of which only {format_duration(took.least_ns)} are certain"
    return status, took, why, uncertainty_ns


def _place(one: Rollback, name: str, text: str) -> Evidence:
    id = one.row.observed_id if name == "observed" else one.row.settled_id
    return Evidence("history.jsonl", one.fault.id if id is None else f"id {id}", text)


def _no_time() -> Took:
    from chaosctl.verify.measure.aftermath import Took

    return Took(0, 0)


def _conserved(recording: Recording) -> list[Finding]:
    """Return the worst of the totals that were observed; none where there are none."""
    totals = [judge_total(recording, name) for name in totals_seen(recording)]
    if not totals:
        return []
    worst = max(totals, key=lambda finding: _RANK[finding.status])
    return [replace(worst, name="rollback.conserved", checker="rollback")]


CHECKER = RollbackChecker()
