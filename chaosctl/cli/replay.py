"""Replay the input log of a recorded run again.

Plainly, then with one factor changed at a time (hash seed, time zone, clock, CPU and others), and with one input
changed at a time, which must be noticed. Where replays part, --minimise finds the shortest log that shows it.

Example: chaosctl replay reports/world-crash/latest --perturb all
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaosctl.cli.arguments import RunFolder, find_run
from chaosctl.cli.recorded import experiment_of
from chaosctl.errors import ExitCode, RecordingError, UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.recording.reader import Recording
    from chaosctl.recording.writer import RunWriter
    from chaosctl.verify.contract import Checked, Finding
    from chaosctl.verify.replay import ReplayParams

DEFAULT_TAMPER = 8
RESULTS = {"pass": "deterministic", "fail": "broken", "inconclusive": "not tested"}
NOTICED = {"pass": "noticed", "fail": "not noticed", "inconclusive": "not tested"}


def command(
    run: RunFolder,
    perturb: Annotated[
        str,
        typer.Option(
            "--perturb",
            help="Factors: all, none, or some (hash-seed,clock); a wrong name lists them.",
            metavar="FACTORS",
        ),
    ] = "all",
    runs: Annotated[int, typer.Option("--runs", min=2, max=100, help="How many plain replays.")] = 2,
    tamper: Annotated[
        int, typer.Option("--tamper", min=0, max=1000, help="How often to change one input, to see that it is noticed.")
    ] = DEFAULT_TAMPER,
    shorten: Annotated[
        bool, typer.Option("--minimise", help="Where replays part, look for the shortest log that shows it.")
    ] = False,
    within: Annotated[
        str, typer.Option("--minimise-within", help="How long to look for it.", metavar="DURATION")
    ] = "120s",
    given: Annotated[
        Path | None,
        typer.Option("--input", help="Replay this log instead of the run's, such as a reproducer.", metavar="LOG"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the replays as a run in this folder, which must be new or empty.")
    ] = None,
) -> None:
    """Print what each factor does to the replay. Exits with 0, 1 (it parts), 4 (a damaged log) or 6 (not tested)."""
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.comparable import damage

    params = _params(perturb, runs, tamper if given is None else 0, within, shorten)
    recording = Recording.open(find_run(run))
    loaded = experiment_of(recording)
    with tempfile.TemporaryDirectory(prefix="chaosctl-replays-") as folder:
        checked = _replay(recording, loaded, params, out, Path(folder) / "run", given)
    if reason := damage(checked.tables["replays"]):
        raise RecordingError(
            f"{given or recording.folder / 'inputs'}: a log that is damaged cannot be replayed: {reason}"
        )
    for line in _lines(checked, shorten):
        typer.echo(line)
    statuses = {str(finding.status) for finding in checked.findings}
    raise typer.Exit(
        ExitCode.FAIL if "fail" in statuses else ExitCode.INCONCLUSIVE if "inconclusive" in statuses else ExitCode.PASS
    )


def _lines(checked: Checked, shorten: bool) -> Iterator[str]:
    """Yield what is printed of the replays; `shorten`: a shortest log was asked for."""
    from chaosctl.report.replays import divergences_in_short, factors_in_short

    findings, rows = checked.findings, checked.tables["replays"]
    widest = max(len(finding.name) for finding in findings)
    for finding in findings:
        result = (NOTICED if finding.name == "replay.isolation" else RESULTS)[finding.status]
        yield f"{finding.name:<{widest}}  {result:<13}  {finding.why.removeprefix(f'{result}: ')}"
    yield from (*factors_in_short(findings), *divergences_in_short(rows), *_shown(findings))
    if shorten and not any(row.get("first_divergence") is not None for row in rows):
        yield "nothing to minimise: no replay was seen to part from another"


def _shown(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield what shows each reproducer, in the words of its evidence."""
    for item in dict.fromkeys(item for finding in findings for item in finding.evidence):
        if item.file.startswith("reproducer/"):
            yield f"{item.file}: {item.where} {item.text}"


def _params(perturb: str, runs: int, tamper: int, within: str, shorten: bool) -> ReplayParams:
    """Return the parameters of the objective that the options ask for. Raises UsageError."""
    from chaosctl.experiment.units import parse_duration_ns
    from chaosctl.recording.factors import Factor
    from chaosctl.verify.replay import ReplayParams

    names: Sequence[str] = () if perturb == "none" else tuple(dict.fromkeys(perturb.split(",")))
    if perturb == "all":
        names = tuple(Factor)
    known = [str(factor) for factor in Factor]
    for name in names:
        if name not in known:
            raise UsageError(f"--perturb {perturb}: '{name}' is no factor; write all, none, or of {', '.join(known)}")
    try:
        within_ns = parse_duration_ns(within)
    except ValueError as error:
        raise UsageError(f"--minimise-within {within}: {error}") from None
    factors = tuple(Factor(name) for name in names)
    return ReplayParams(runs=runs, perturb=factors, tamper=tamper, minimise=within_ns if shorten else None)


def _replay(
    recording: Recording, loaded: Loaded, params: ReplayParams, out: Path | None, scratch: Path, given: Path | None
) -> Checked:
    """Replay into a bundle of its own at `out`, or at `scratch`, and judge that. Raises UsageError, RecordingError.

    Reproducers go into that bundle if it is kept, otherwise into the run's own.
    """
    from chaosctl.plan.codec import plan_to_json
    from chaosctl.recording.reader import Recording
    from chaosctl.recording.writer import RunWriter
    from chaosctl.verify.replay import CHECKER

    name, input_log = _service(recording, loaded, given)
    to = out or scratch
    writer = RunWriter.create(to)
    plan = replace(recording.plan, faults=(), objectives={"replay": params.model_dump(mode="json")})
    writer.start(loaded.source, plan_to_json(plan), recording.run)
    log = to / "inputs" / f"{name}-0.log"
    shutil.copyfile(input_log, log)
    live = recording.folder / "digests" / "live.jsonl"
    if live.is_file() and given is None:
        shutil.copyfile(live, to / "digests" / live.name)
    home = recording.folder if out is None else out.resolve()
    _perturb_tamper_minimise(loaded, name, log, writer, params, plan.seed, home)
    writer.end("completed")
    return CHECKER.check(Recording.open(to), params)


def _perturb_tamper_minimise(
    loaded: Loaded, name: str, log: Path, writer: RunWriter, params: ReplayParams, seed: int, home: Path
) -> None:
    """Replay the log of the service `name` in all the ways that are asked for; what comes of it goes to `writer`."""
    from chaosctl.experiment.units import format_duration
    from chaosctl.replay.minimise import minimise
    from chaosctl.replay.perturbed import Perturbing
    from chaosctl.replay.tamper import tamper

    service = loaded.experiment.target.services[name]
    assert service.offers.replay is not None  # as _service chose it
    perturbing = Perturbing(
        replay=service.offers.replay,
        input_log=log,
        bundle=writer.folder,
        folder=loaded.folder / service.folder,
        env={**os.environ, **service.env},
        abort=threading.Event(),
        sighted=lambda seen: writer.events.write("replay_canary", **asdict(seen)),
        finished=lambda one: writer.events.write("replay_finished", **one.as_event()),
    )
    perturbing.plain_and_all(params.runs, params.perturb)
    for tampered in tamper(perturbing, seed, params.tamper):
        writer.events.write("tampered", **asdict(tampered))
    if params.minimise_ns is not None:
        typer.echo(
            f"looking for the shortest log that parts them, {format_duration(params.minimise_ns)} at most", err=True
        )
        for found in minimise(perturbing, params.perturb, params.minimise_ns, home):
            writer.events.write("minimised", **asdict(found))


def _service(recording: Recording, loaded: Loaded, given: Path | None) -> tuple[str, Path]:
    """Return the service that can be replayed, and its recorded log, or the one that is given. Raises UsageError."""
    if given is not None and not given.is_file():
        raise UsageError(f"--input {given}: is no file; name an input log")
    for name, service in loaded.experiment.target.services.items():
        collected = sorted((recording.folder / "inputs").glob("*.log"))
        logs = [given] if given else [log for log in collected if log.stem.rpartition("-")[0] == name]
        if service.offers.replay is not None and logs:
            return name, logs[0]
    raise UsageError(
        f"{recording.folder}: holds no input log of a service that offers `replay`; a run collects it where the "
        "experiment has the objective `replay`"
    )
