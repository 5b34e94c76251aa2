"""What a run recorded that an objective rests on, in order, each with its place in the files; and what was counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chaosctl.experiment.kinds import Params
from chaosctl.recording.facts import load_window, strikes, windows
from chaosctl.recording.model import Event, Mark, Outcome, Samples
from chaosctl.report.wording import duration
from chaosctl.verify.contract import Verdict
from chaosctl.verify.estimate import inside
from chaosctl.verify.measure.stalls import STOOD_STILL_NS
from chaosctl.verify.registry import checkers

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

Fact = tuple[int, str, str]  # run ns, place in the files, words
_OBSERVED = {"conserved": "totals", "same_digest": "digest"}
_ID = re.compile(r"id (-?\d+)")
_IDS_SHOWN, _VALUE_SHOWN = 50, 80


def recorded_facts(recording: Recording, verdict: Verdict, name: str, params: Params | None) -> list[Fact]:
    """Return what was recorded that objective `name` rests on, by time: (run ns, place in the files, words)."""
    events: list[Fact] = []
    said = ""  # an answer like the one before it is nothing new
    for event in recording.events:
        words = _words(event) or _special_words(event, name)
        if words and (event.event != "observed" or words != said):
            events.append((event.at_ns, f"events.jsonl:{event.line}", words))
        said = words if words and event.event == "observed" else said
    probed = list(_probed(verdict, getattr(params, "consecutive", 20))) if name == "recovery" else []
    probed += list(_served_again(verdict)) if name == "release" else []
    probed += list(_rolled_back(verdict)) if name == "rollback" else []
    return sorted([*events, *probed, *_named_lines(recording, verdict, name)], key=lambda fact: fact[0])


def _served_again(verdict: Verdict) -> Iterator[Fact]:
    for row in verdict.releases:
        at_ns, deploy = row.get("served_again_ns"), row.get("deploy")
        if at_ns is not None:
            yield at_ns, f"samples/probe-relay.arrow intended_ns {at_ns}", f"{deploy}: the good version serves again"
        else:
            yield row["censored_ns"], "events.jsonl", f"{deploy}: its window ends; the good version did not serve again"


def _rolled_back(verdict: Verdict) -> Iterator[Fact]:
    """What was in flight at each fault, when a reader first missed something, and when nothing changed any more."""
    moments = {"observed": "a reader first missed what had been acknowledged", "settled": "nothing changed any more"}
    for row in verdict.rollback:
        fault, called_ns = row.get("fault"), row.get("called_ns") or 0
        had = f"{row.get('in_flight')} events in flight, {row.get('acknowledged')} operations acknowledged before it"
        yield called_ns, "events.jsonl", f"{fault} was called: {had}"
        for key, words in moments.items():
            if row.get(f"{key}_ns") is not None:
                where = "events.jsonl" if row.get(f"{key}_id") is None else f"history.jsonl id {row[f'{key}_id']}"
                yield row[f"{key}_ns"], where, f"{fault}: {words}"
        if row.get("never_settled"):
            yield row["censored_ns"], "events.jsonl", f"{fault}: not settled until here, as far as was seen"


def _named_lines(recording: Recording, verdict: Verdict, name: str) -> Iterator[Fact]:
    """The lines of the history that the evidence names by their id."""
    named = [item for finding in verdict.objectives if finding.checker == name for item in finding.evidence]
    found = [_ID.fullmatch(item.where) for item in named if item.file == "history.jsonl"]
    ids = list(dict.fromkeys(int(match[1]) for match in found if match))[:_IDS_SHOWN]
    if not ids:
        return
    history = recording.history()
    for row in np.flatnonzero(np.isin(history.id, ids)).tolist():
        bot, f, key = (getattr(history, f"{of}s")[getattr(history, of)[row]] for of in ("bot", "f", "key"))
        value = history.value[row].as_py()
        said = "" if value is None else f" {value[:_VALUE_SHOWN]}{'...' if len(value) > _VALUE_SHOWN else ''}"
        mark = Mark(int(history.mark[row])).name.lower()
        yield int(history.at_ns[row]), f"history.jsonl id {history.id[row]}", f"{bot} {f} {key}{said}: {mark}"


def _words(event: Event) -> str | None:
    """What bears on every objective: phases, the target's processes, and what went wrong on our side."""
    fields = event.fields
    replica = f"{fields.get('service')}[{fields.get('replica')}]"
    match event.event:
        case "phase":
            return f"phase {fields.get('name')}"
        case "load_started" | "load_ended":
            return event.event.replace("_", " ")
        case "service_ready":
            return f"{replica} is ready"
        case "service_exited":
            how = fields.get("signal") or f"code {fields.get('code')}"
            said = f"; its last words: {' | '.join(map(str, fields['said']))}" if fields.get("said") else ""
            return f"{replica} ended ({how}), {'as asked' if fields.get('expected', True) else 'by itself'}{said}"
        case "crashed":
            return f"the {fields.get('part')} crashed: {fields.get('why')}"
        case "interrupted" | "stopped":
            return f"{event.event}: {fields.get('signal') or fields.get('condition')}"
        case "run_ended":
            return f"the run ended: {fields.get('reason')}" + (f" ({fields['error']})" if fields.get("error") else "")
        case _:
            return _words_of_fault(event)


def _words_of_fault(event: Event) -> str | None:
    fields, fault = event.fields, event.fields.get("fault")
    match event.event:
        case "fault_requested":
            return f"{fault} requested, due at {_at(fields.get('due_ns'))}"
        case "fault_resolved":
            return f"{fault}: {fields.get('asked')} is {fields.get('on')} ({_joined(fields.get('said'))})"
        case "fault_applied":
            return f"{fault} applied to {_joined(fields.get('targets'))}: {_call(fields)}"
        case "fault_failed":
            return f"{fault} could not be injected: {fields.get('why')}"
        case "fault_healed":
            return f"{fault} healed: {_call(fields)}"
        case "fault_proved":
            return f"{fault} {'proved' if fields.get('proved') else 'NOT proved'}: {fields.get('proof')}"
        case "fault_heal_proved":
            return f"{fault} {'seen' if fields.get('proved') else 'NOT seen'} to be gone: {fields.get('proof')}"
        case _:
            return None


def _special_words(event: Event, name: str) -> str | None:
    """What bears on some objectives only: standstills of the load, totals and digests, replays."""
    fields = event.fields
    match event.event:
        case "generator":
            lag_ns = float(fields.get("lag_ms_max") or 0) * 1e6
            return f"the load generator stood still for {duration(lag_ns)}" if lag_ns >= STOOD_STILL_NS else None
        case "observed" if fields.get("what") == _OBSERVED.get(name):
            said = _joined(fields.get("values") or fields.get("digest")) if fields.get("ok", True) else None
            moment = f" {fields['moment']}" if fields.get("moment") else ""
            return f"{fields.get('service')} said{moment}: {said or fields.get('error') or 'nothing'}"
        case "service_started" if name == "release":
            version = f"version {fields['version']}" if fields.get("version") else "the target's own version"
            return f"{fields.get('service')}[{fields.get('replica')}] starts as {version}"
        case "replay_finished" if name == "replay":
            return f"{fields.get('run')} ended with code {fields.get('code')} after {fields.get('ticks')} ticks"
        case "replay_canary" if name == "replay":
            how = "reaches a replay" if fields.get("reached") else "is not tested"
            return f"the factor {fields.get('factor')} {how}: {fields.get('text')}"
        case "minimised" if name == "replay":
            left = f"{fields.get('to_ticks')} of {fields.get('from_ticks')} ticks left in {fields.get('file')}"
            return f"{fields.get('factor')} minimised: {left if fields.get('file') else fields.get('why')}"
        case "tampered" if name == "replay":
            return f"changed log {fields.get('trial')}, {fields.get('text')}: {fields.get('how')}"
        case _:
            return None


def _probed(verdict: Verdict, consecutive: int) -> Iterator[Fact]:
    """What the probe saw of each fault. Its questions are found by when they were due."""
    moments = {
        "last_good_ns": "the probe's last good answer before the trouble",
        "first_error_ns": "the probe's first answer that is not good",
        "first_good_ns": "the probe's first good answer after it",
        "serviceable_ns": f"the first of {consecutive} good answers in a row: serviceable",
        "steady_ns": "the first stretch in which everything is as declared: steady",
    }
    for row in verdict.recovery:
        noticed = row.get("first_error_ns") is not None
        for key, words in moments.items():
            if row.get(key) is not None and (noticed or key == "steady_ns"):
                yield row[key], f"samples/probe-relay.arrow intended_ns {row[key]}", f"{row['fault']}: {words}"
        missing = [word for word in ("serviceable", "steady") if row.get(f"{word}_ns") is None]
        words = (
            f"{row['fault']}: its window ends"
            + ("" if noticed else "; no probe noticed it")
            + (f"; not {' nor '.join(missing)} until here" if missing else "")
        )
        yield row["censored_ns"], "events.jsonl", words


def counts(recording: Recording, name: str, params: Params | None) -> list[str]:
    """Return how much was seen of what the objective rests on, and which stretches its `during` means.

    What it rests on follows from its parameters and from what its kind says it needs, so a new objective has it too.
    """
    checker = checkers().get(name)
    needs = checker.kind.needs if checker else frozenset()
    lines: list[str] = []
    if hasattr(params, "during"):
        lines += _operations(recording, params)
    if "probe" in needs:
        lines += _probes(recording.samples("probe-relay"), load_window(recording))
    if "history" in needs:
        lines += _history(recording)
    if "replay" in needs:
        runs = recording.digest_runs()
        lines += [f"{run}: digests of {len(read.lines)} ticks  [digests/{run}.jsonl]" for run, read in runs.items()]
    if name == "metrics":
        lines += _sampled(recording)
    if name in _OBSERVED:
        asked = [e for e in recording.events_named("observed") if e.fields.get("what") == _OBSERVED[name]]
        answered = sum(event.fields.get("ok") is not False for event in asked)
        lines.append(f"{len(asked)} questions, {answered} answered  [events.jsonl]")
    return lines or [f"{count} events of {kind}  [events.jsonl]" for kind, count in _kinds(recording).items()]


def _kinds(recording: Recording) -> Counter[str]:
    return Counter(event.event for event in recording.events)


def _operations(recording: Recording, params: Any) -> Iterator[str]:
    spans = windows(recording, params.during, params.settle_ns)
    yield f"'{params.during}' means {', '.join(f'{_at(start)} to {_at(end)}' for start, end in spans) or 'no time'}"
    samples = recording.samples("swarm")
    picked = inside(samples, spans, strikes(recording), *(getattr(params, of, None) for of in ("cohort", "operation")))
    yield f"{len(picked)} of {len(samples)} operations are of it: {_outcomes(samples.outcome[picked])}  [samples/]"


def _probes(samples: Samples, load: tuple[int, int] | None) -> Iterator[str]:
    low, high = np.searchsorted(samples.intended_ns, (load[0], load[1] + 1)) if load else (0, 0)
    yield f"{high - low} probes under load: {_outcomes(samples.outcome[low:high])}  [samples/probe-relay.arrow]"


def _outcomes(outcome: Any) -> str:
    ok, failed, unknown = (int((outcome == one).sum()) for one in (Outcome.OK, Outcome.FAIL, Outcome.INFO))
    return f"{ok} ok, {failed} failed, {unknown} without a known outcome"


def _history(recording: Recording) -> Iterator[str]:
    history = recording.history()
    for code, f in enumerate(history.fs):
        marks = history.mark[history.f == code]
        seen = ", ".join(f"{int((marks == mark).sum())} {mark.name.lower()}" for mark in Mark if (marks == mark).any())
        yield f"{f}: {seen}  [history.jsonl]"


def _sampled(recording: Recording) -> Iterator[str]:
    asked = recording.events_named("metrics")
    for who in sorted({(str(event.fields.get("service")), event.fields.get("replica")) for event in asked}):
        said = [event.fields for event in asked if (event.fields.get("service"), event.fields.get("replica")) == who]
        answered = sum(bool(fields.get("ok")) for fields in said)
        yield f"{who[0]}[{who[1]}]: asked {len(said)} times, {answered} answered  [events.jsonl]"


def _call(fields: Mapping[str, Any]) -> str:
    return f"called at {_at(fields.get('called_ns'))}, returned at {_at(fields.get('returned_ns'))}"


def _at(run_ns: Any) -> str:
    return f"{run_ns / 1e9:.3f} s" if isinstance(run_ns, int | float) else "an unknown time"


def _joined(value: Any) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name} = {item}" for name, item in value.items())
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
