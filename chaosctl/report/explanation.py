"""How a verdict came about: the definition, the recorded facts in order, the numbers, and where in the files they are.

Pure: text lines out of a recording and its verdict. What comes out of a recording is not made safe for a terminal
here; `console.print_lines` does that.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from chaosctl.errors import UsageError
from chaosctl.experiment.complaints import mend
from chaosctl.experiment.kinds import Params
from chaosctl.recording.facts import fault_facts
from chaosctl.report.recorded_facts import counts, recorded_facts
from chaosctl.report.wording import amount, duration, expectation, headline, measurement, status_word
from chaosctl.verify.circumstances import run_doubts
from chaosctl.verify.contract import Evidence, Finding, Status, Verdict
from chaosctl.verify.registry import checkers

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

_WIDTH = 110
_FACTS_SHOWN = 200


def overview(verdict: Verdict) -> list[str]:
    """Return a line an objective: its status, what was measured and what was expected."""
    widest = max((len(finding.name) for finding in verdict.objectives), default=0)
    lines = [
        f"{status_word(one.status):<14} {one.name:<{widest}}  {measurement(one)}  (expected {expectation(one)})"
        for one in verdict.objectives
    ]
    return [f"{status_word(verdict.status)}  {verdict.experiment} {verdict.run_id}: {headline(verdict)}", *lines]


def explain(recording: Recording, verdict: Verdict, objective: str) -> list[str]:
    """Return how the verdict of one objective (`recovery`), or of one of its findings (`recovery.steady`), came about.

    Raises UsageError, naming what there is, if the run has no such objective.
    """
    findings = _chosen(verdict, objective)
    name = findings[0].checker
    params = _params(recording, name)
    facts = [
        f"{at_ns / 1e9:>10.3f} s  {text}  [{where}]"
        for at_ns, where, text in recorded_facts(recording, verdict, name, params)
    ]
    if len(facts) > _FACTS_SHOWN:
        facts = [*facts[:_FACTS_SHOWN], f"... and {len(facts) - _FACTS_SHOWN} more, in events.jsonl"]
    sections: Mapping[str, list[str]] = {
        "What it means": _definition(name),
        "Parameters [plan.json]": _parameters(params),
        "What was recorded, in order": facts,
        "What was counted": counts(recording, name, params),
        "The numbers": [line for finding in findings for line in _numbers(finding)],
        "Doubts": _doubts(recording, verdict, findings),
        "Where it stands": [line for finding in findings for line in _evidence(recording, finding)]
        or ["no line of it stands out: it rests on all that was counted"],
    }
    lines = [f"{objective} of {verdict.experiment}, run {verdict.run_id}, in {recording.folder}"]
    for title, content in sections.items():
        lines += ["", title, *(f"  {line}" for line in content or ["nothing"])]
    return lines


def _chosen(verdict: Verdict, objective: str) -> list[Finding]:
    chosen = [finding for finding in verdict.objectives if objective in (finding.checker, finding.name)]
    if chosen:
        return chosen
    names = list(dict.fromkeys(name for one in verdict.objectives for name in (one.checker, one.name)))
    meant = mend(objective, names, "it has none at all")
    listed = f" (it has {', '.join(names)})" if meant.startswith("did you mean") else ""
    raise UsageError(f"this run has no objective '{objective}'; {meant}{listed}")


def _params(recording: Recording, name: str) -> Params | None:
    checker = checkers().get(name)
    try:
        return checker.kind.params.model_validate(recording.plan.objectives[name]) if checker else None
    except (KeyError, ValidationError):
        return None  # the verdict says so: it is inconclusive with this as its reason


def _definition(name: str) -> list[str]:
    checker = checkers().get(name)
    if checker is None:
        return ["this version of chaosctl knows no such objective"]
    module = inspect.getdoc(inspect.getmodule(checker)) or ""
    texts = [checker.kind.summary, inspect.getdoc(type(checker)) or "", module.partition("\n\n")[2]]
    return [line for text in texts for line in _wrapped(text)]


def _wrapped(text: str) -> Iterator[str]:
    """Fill paragraphs anew; the items of a list keep their lines."""
    for paragraph in filter(None, (part.strip() for part in text.split("\n\n"))):
        items = paragraph.splitlines() if paragraph.startswith("- ") else [" ".join(paragraph.split())]
        for item in items:
            yield from textwrap.wrap(item, _WIDTH)


def _parameters(params: Params | None) -> list[str]:
    if params is None:
        return ["they could not be read"]
    given = {
        field.alias or name: (_value(name, getattr(params, name)), field.description or "")
        for name, field in type(params).model_fields.items()
        if getattr(params, name) not in (None, ())
    }
    widest = max(map(len, given), default=0)
    return [f"{name:<{widest}} = {value}  ({meaning})" for name, (value, meaning) in given.items()]


def _value(name: str, value: Any) -> str:
    match value:
        case int() | float() if name.endswith("_ns"):
            return duration(value)
        case float():
            # No share is more than the whole; what is greater is an amount.
            return amount(value, "1/s" if name.endswith("_per_s") else "share" if value <= 1 else "count")
        case tuple() | list():
            return ", ".join(map(str, value))
        case Mapping():
            return "; ".join(f"{key}: {_value('', item)}" for key, item in value.items())
        case Params():
            fields = type(value).model_fields.items()
            given = {field.alias or of: (of, getattr(value, of)) for of, field in fields}
            return ", ".join(f"{word} {_value(*item)}" for word, item in given.items() if item[1] not in (None, ()))
        case _:
            return str(value)


def _numbers(finding: Finding) -> list[str]:
    head = f"{status_word(finding.status)}  {finding.name}: {measurement(finding)}, expected {expectation(finding)}"
    return [head, *(f"    {line}" for line in finding.why.splitlines())]


def _doubts(recording: Recording, verdict: Verdict, findings: list[Finding]) -> list[str]:
    """Everything that may turn a pass into inconclusive, and whose pass it did."""
    raw = recording.plan.objectives.get(findings[0].checker, {})
    faults = fault_facts(recording) if raw.get("during") != "baseline" else ()
    doubts = [*run_doubts(recording), *(fault.doubt for fault in faults if fault.doubt)]
    if verdict.generator.get("saturated"):
        doubts.append("the load generator was itself the bottleneck")
    unclear = [finding for finding in findings if finding.status is Status.INCONCLUSIVE]
    taken_back = [finding.name for finding in unclear if finding.why.startswith(tuple(doubts))]
    lines = [*dict.fromkeys(doubts), *(f"so {name} is inconclusive, whatever its numbers say" for name in taken_back)]
    return lines or ["none: the run was played to its end, its files are whole, every fault was proved"]


def _evidence(recording: Recording, finding: Finding) -> Iterator[str]:
    for item in finding.evidence:
        first, *more = item.text.splitlines() or [""]
        yield f"{_place(recording, item)}: {first}"
        yield from (f"    {line}" for line in more)


def _place(recording: Recording, item: Evidence) -> str:
    """Name the line, where the evidence names an event by its time."""
    if item.file == "events.jsonl":
        then = [event for event in recording.events if f"at_ns {event.at_ns}" == item.where]
        # Others may stand at the same nanosecond; what evidence names is what the target said.
        meant = sorted(then, key=lambda event: event.event != "observed")
        return f"{item.file}:{meant[0].line} {item.where}" if meant else f"{item.file} {item.where}"
    return f"{item.file} {item.where}"
