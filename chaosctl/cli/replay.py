"""Replay the input log of a recorded run again.

Plainly, and then with one factor changed at a time: hash seed, time zone, clock, CPU and others.

Example: chaosctl replay reports/world-crash/latest --perturb all
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaosctl.cli.arguments import RunFolder, find_run, load
from chaosctl.errors import ExitCode, ExperimentError, UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.contract import Finding
    from chaosctl.verify.replay import ReplayParams

RESULTS = {"pass": "deterministic", "fail": "broken", "inconclusive": "not tested"}


def command(
    run: RunFolder,
    perturb: Annotated[
        str, typer.Option("--perturb", help="Factors to change: all, none, or hash-seed,clock.", metavar="FACTORS")
    ] = "all",
    runs: Annotated[int, typer.Option("--runs", min=2, max=100, help="How many plain replays.")] = 2,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the replays as a run in this folder, which must be new or empty.")
    ] = None,
) -> None:
    """Print what each factor does to the replay. Exits with 0, 1 (something parts) or 6 (something is not tested)."""
    from chaosctl.recording.reader import Recording
    from chaosctl.report.replays import factors_in_short

    params = _params(perturb, runs)
    recording = Recording.open(find_run(run))
    loaded = _experiment_of(recording)
    with tempfile.TemporaryDirectory(prefix="chaosctl-replays-") as folder:
        findings = _replay(recording, loaded, params, out or Path(folder) / "run")
    widest = max(len(finding.name) for finding in findings)
    for finding in findings:
        result = RESULTS[finding.status]
        typer.echo(f"{finding.name:<{widest}}  {result:<13}  {finding.why.removeprefix(f'{result}: ')}")
    for line in factors_in_short(findings):
        typer.echo(line)
    statuses = {str(finding.status) for finding in findings}
    raise typer.Exit(
        ExitCode.FAIL if "fail" in statuses else ExitCode.INCONCLUSIVE if "inconclusive" in statuses else ExitCode.PASS
    )


def _params(perturb: str, runs: int) -> ReplayParams:
    """Return the parameters of the objective that the options ask for. Raises UsageError."""
    from chaosctl.recording.factors import Factor
    from chaosctl.verify.replay import ReplayParams

    names: Sequence[str] = () if perturb == "none" else tuple(dict.fromkeys(perturb.split(",")))
    if perturb == "all":
        names = tuple(Factor)
    known = [str(factor) for factor in Factor]
    for name in names:
        if name not in known:
            raise UsageError(f"--perturb {perturb}: '{name}' is no factor; write all, none, or of {', '.join(known)}")
    return ReplayParams(runs=runs, perturb=tuple(Factor(name) for name in names))


def _experiment_of(recording: Recording) -> Loaded:
    """Load the experiment that the run was made with, as its command line changed it. Raises UsageError."""
    file = Path(str(recording.run.get("file", "")))
    words = shlex.split(str(recording.run.get("command", "")))
    overrides = [after for word, after in pairwise(words) if word == "--set"]
    overrides += [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    if not file.is_file():
        raise UsageError(f"{file}: the run's experiment is not there; go to the folder in which the run was started")
    try:
        loaded = load(file, overrides)
    except ExperimentError as error:
        raise UsageError(f"{file}: is no longer the experiment of this run; bring it back as it was: {error}") from None
    if loaded.fingerprint != recording.plan.fingerprint:
        raise UsageError(
            f"{file}: means something else than when the run was made (fingerprint {loaded.fingerprint}, then "
            f"{recording.plan.fingerprint}); bring the file and its environment variables back, or run it again"
        )
    return loaded


def _replay(recording: Recording, loaded: Loaded, params: ReplayParams, to: Path) -> tuple[Finding, ...]:
    """Replay into a bundle of its own at `to`, and judge that. Raises UsageError, RecordingError."""
    from chaosctl.plan.codec import plan_to_json
    from chaosctl.recording.reader import Recording
    from chaosctl.recording.writer import RunWriter
    from chaosctl.replay.perturbed import Perturbing
    from chaosctl.verify.replay import CHECKER

    name, input_log = _service(recording, loaded)
    writer = RunWriter.create(to)
    plan = replace(recording.plan, faults=(), objectives={"replay": params.model_dump(mode="json")})
    writer.start(loaded.source, plan_to_json(plan), recording.run)
    live = recording.folder / "digests" / "live.jsonl"
    for source in (input_log, *([live] if live.is_file() else [])):
        shutil.copyfile(source, to / source.parent.name / source.name)

    service = loaded.experiment.target.services[name]
    assert service.offers.replay is not None  # as _service chose it
    Perturbing(
        replay=service.offers.replay,
        input_log=to / "inputs" / input_log.name,
        bundle=to,
        folder=loaded.folder / service.folder,
        env={**os.environ, **service.env},
        abort=threading.Event(),
        sighted=lambda seen: writer.events.write("replay_canary", **asdict(seen)),
        finished=lambda one: writer.events.write("replay_finished", **one.as_event()),
    ).plain_and_all(params.runs, params.perturb)
    writer.end("completed")
    return CHECKER.check(Recording.open(to), params).findings


def _service(recording: Recording, loaded: Loaded) -> tuple[str, Path]:
    """Return the service that can be replayed, and its recorded log. Raises UsageError."""
    for name, service in loaded.experiment.target.services.items():
        log = recording.folder / "inputs" / f"{name}-0.log"
        if service.offers.replay is not None and log.is_file():
            return name, log
    raise UsageError(
        f"{recording.folder}: holds no input log of a service that offers `replay`; a run collects it where the "
        "experiment has the objective `replay`"
    )
