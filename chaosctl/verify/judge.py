"""A recording in, a verdict out. Judging the same recording again gives the same verdict.

Worst wins: fail > inconclusive > pass. A pass rests on everything that it depends on, so doubts turn a pass into
`inconclusive`: about the run (something of ours died, it did not play its plan to the end, a file was cut short),
about a fault (not injected, not proved), about the load generator (it was itself the bottleneck).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosctl.errors import ExitCode
from chaosctl.recording.facts import FaultFacts, fault_facts
from chaosctl.verify.circumstances import ended, environment, generator, notes, relay, run_doubts
from chaosctl.verify.contract import Checked, Checker, Evidence, Finding, Quantity, Status, Verdict
from chaosctl.verify.estimate import worst
from chaosctl.verify.registry import checkers

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

SCHEMA_VERSION = 1  # of verdict.json
CRASHES = "logs/checkers.log"  # where, in the bundle, whoever judges keeps the traces of checkers that crashed

OnCrash = Callable[[str, str], None]

# A generator that lags makes these numbers its own, good or bad.
_MADE_BY_LOAD = {"latency", "throughput"}
_JUDGED_PER_OPERATION = {"latency", "errors", "release"}
_TOUCHED_BY_LOAD = {"latency", "throughput", "errors", "recovery", "metrics", "release"}


def _forget(_objective: str, _trace: str) -> None:
    pass


def judge(recording: Recording, on_crash: OnCrash = _forget) -> Verdict:
    """Run every objective of the plan and return the verdict. Raises nothing on account of a checker.

    `on_crash(objective, trace)` is told of each checker that raised; the verdict says it in a line and names `CRASHES`.
    """
    faults = fault_facts(recording)
    health = generator(recording)
    judged = _check_all(recording, on_crash)
    of_faults = [doubt for fault in faults if (doubt := fault.doubt)]
    of_run = run_doubts(recording)
    findings: list[Finding] = []
    for name, checked in judged.items():
        raw = recording.plan.objectives[name]
        doubts = [*of_run, *(of_faults if raw.get("during") != "baseline" else ())]
        findings += [_doubt(_overloaded(_gaps(recording, one), health), doubts) for one in checked.findings]
    status = worst([finding.status for finding in findings])
    return Verdict(
        schema_version=SCHEMA_VERSION,
        experiment=recording.plan.experiment,
        run_id=str(recording.run.get("run_id", recording.folder.name)),
        seed=recording.plan.seed,
        status=status,
        exit_code=int(_exit_code(recording, status)),
        objectives=tuple(findings),
        faults=tuple(_fault_row(fault) for fault in faults),
        recovery=_table(judged, "recovery"),
        rollback=_table(judged, "rollback"),
        replays=_table(judged, "replays"),
        releases=_table(judged, "releases"),
        relay=relay(recording),
        generator=health,
        environment=environment(recording),
        ended=ended(recording),
        notes=(*of_run, *notes(recording, health)),
    )


def _check_all(recording: Recording, on_crash: OnCrash) -> dict[str, Checked]:
    """Check every objective. Those that rest on the history come last, so that a long one is not held beside as many
    operations."""
    objectives = recording.plan.objectives
    known = checkers()
    of_history = {name for name in objectives if name in known and "history" in known[name].kind.needs}
    judged = {
        name: _check(recording, name, objectives[name], on_crash) for name in objectives if name not in of_history
    }
    recording.let_go()
    judged |= {name: _check(recording, name, objectives[name], on_crash) for name in objectives if name in of_history}
    recording.let_go()
    return {name: judged[name] for name in objectives}


def _check(recording: Recording, name: str, raw: Mapping[str, Any], on_crash: OnCrash) -> Checked:
    checker = checkers().get(name)
    if checker is None:
        return Checked((_unjudged(name, "this version of chaosctl knows no such objective", ()),))
    try:
        params = checker.kind.params.model_validate(raw)
        return _despite_stalls(recording, checker, params, checker.check(recording, params))
    except Exception as error:  # noqa: BLE001 -- the contract: a checker that crashes has shown nothing, and says so
        on_crash(name, traceback.format_exc())
        said = next(iter(str(error).splitlines()), "")
        why = f"the checker crashed: {type(error).__name__}: {said}"
        return Checked((_unjudged(name, why, (Evidence(CRASHES, name, _where(error)),)),))


def _where(error: Exception) -> str:
    """Name the innermost place, without the folders of this machine."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}, {last.name}; the whole trace is there"


def _despite_stalls(recording: Recording, checker: Checker, params: Any, checked: Checked) -> Checked:
    """What fails only because of operations that met a standstill of the load generator is not the target's fault."""
    from chaosctl.verify.measure.stalls import generator_stalls, touched

    failed = any(finding.status is Status.FAIL for finding in checked.findings)
    if not failed or checker.kind.name not in _JUDGED_PER_OPERATION or not (stalls := generator_stalls(recording)):
        return checked
    undisturbed = recording.without_operations(touched(recording.samples("swarm"), stalls))
    without = {finding.name: finding.status for finding in checker.check(undisturbed, params).findings}
    when = ", ".join(f"{end_ns / 1e9:.1f}s" for _, end_ns in stalls[:5])
    why = f"it fails only by what the load generator sent or awaited while it itself stood still, up to {when}"
    findings = tuple(
        replace(finding, status=Status.INCONCLUSIVE, why=f"{why}; {finding.why}")
        if finding.status is Status.FAIL and without[finding.name] is not Status.FAIL
        else finding
        for finding in checked.findings
    )
    return replace(checked, findings=findings)


def _unjudged(name: str, why: str, evidence: tuple[Evidence, ...]) -> Finding:
    return Finding(
        name=name,
        checker=name,
        status=Status.INCONCLUSIVE,
        op="==",
        expected=Quantity(None, "count"),
        measured=Quantity(None, "count"),
        uncertainty=0.0,
        why=why,
        evidence=evidence,
    )


def _gaps(recording: Recording, finding: Finding) -> Finding:
    """What a bot asked for or was told in a line that nobody can read is not held against the target."""
    checker = checkers().get(finding.checker)
    if finding.status is not Status.FAIL or checker is None or "history" not in checker.kind.needs:
        return finding
    if not recording.history_has_gaps:
        return finding
    why = f"lines within history.jsonl could not be read, and may explain this; {finding.why}"
    return replace(finding, status=Status.INCONCLUSIVE, why=why)


def _overloaded(finding: Finding, health: Mapping[str, Any]) -> Finding:
    made = finding.checker in _MADE_BY_LOAD
    touched = finding.checker in _TOUCHED_BY_LOAD and finding.status is Status.PASS
    if not health["saturated"] or not (made or touched):
        return finding
    why = f"the load generator was itself the bottleneck; {finding.why}"
    return replace(finding, status=Status.INCONCLUSIVE, why=why)


def _doubt(finding: Finding, doubts: list[str]) -> Finding:
    if finding.status is not Status.PASS or not doubts:
        return finding
    return replace(finding, status=Status.INCONCLUSIVE, why=f"{doubts[0]}; {finding.why}")


def _table(judged: Mapping[str, Checked], name: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(row for checked in judged.values() for row in checked.tables.get(name, ()))


def _fault_row(fault: FaultFacts) -> dict[str, Any]:
    return {
        "id": fault.id,
        "kind": fault.kind,
        "on": fault.on,
        "asked": fault.asked,
        "requested_ns": fault.requested_ns,
        "applied_ns": fault.called_ns,
        "returned_ns": fault.returned_ns,
        "healed_ns": fault.healed_ns,
        "proved": bool(fault.proved),
        "proof": fault.failed if fault.failed is not None else fault.proof,
        "heal_proved": fault.heal_proved,
        "due_ns": fault.due_ns,
        "targets": list(fault.targets),
    }


def _exit_code(recording: Recording, status: Status) -> ExitCode:
    """How the run ended comes first; a verdict of a run that was played to its end comes from its findings."""
    how = ended(recording)
    if how == "interrupted" and (signals := recording.events_named("interrupted")):
        named = str(signals[0].fields.get("signal"))
        return ExitCode.TERMINATED if named == "SIGTERM" else ExitCode.INTERRUPTED
    ways = {"stopped": ExitCode.STOPPED, "failed": ExitCode.NOT_READY, "error": ExitCode.INTERNAL}
    if how in ways:
        return ways[how]
    if status is Status.FAIL:
        return ExitCode.FAIL
    # What a part that crashed could not be told is undone by `chaosctl restore`, once that is back.
    if how == "completed" and recording.events_named("cleanup_failed"):
        return ExitCode.NOT_CLEAN
    return ExitCode.PASS if status is Status.PASS else ExitCode.INCONCLUSIVE
