"""From a recording to what a person or a pipeline sees: judge it, write its reports, print the summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from chaosctl.errors import RecordingError

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.contract import Verdict


def judge_run(folder: Path) -> Verdict:
    """Read the bundle and judge it. Raises RecordingError."""
    from chaosctl.recording.reader import Recording

    return judge_recording(Recording.open(folder))


def judge_recording(recording: Recording) -> Verdict:
    """Judge it, and keep in its bundle the traces of checkers that crashed: they are for whoever mends the checker."""
    from chaosctl.recording.writer import write_atomically, writing
    from chaosctl.verify.judge import CRASHES, judge

    traces: dict[str, str] = {}
    verdict = judge(recording, traces.__setitem__)
    if traces:
        path = recording.folder / CRASHES
        try:
            with writing(path.parent):
                path.parent.mkdir(exist_ok=True)
            write_atomically(path, "\n".join(f"{name}\n{trace}" for name, trace in traces.items()))
        except RecordingError as error:
            typer.echo(f"the trace of a checker that crashed could not be kept: {error}", err=True)
    return verdict


def report_run(folder: Path, then: Callable[[Verdict], None]) -> Verdict:
    """Judge the bundle, make its reports (anew), and call `then` with the verdict, also when a report fails.

    Raises RecordingError, after that, naming the reports that could not be written.
    """
    from chaosctl.recording.reader import Recording
    from chaosctl.report.write import write_reports

    recording = Recording.open(folder)
    verdict = judge_recording(recording)
    try:
        write_reports(recording, verdict)
    finally:
        then(verdict)
    return verdict


def show(verdict: Verdict, folder: Path, *, as_json: bool, quiet: bool = False) -> None:
    """Print a verdict: as JSON, as one line, or as the summary. What ended a run early goes to stderr with the first
    two, since they have no other place where a person would see it."""
    if verdict.ended != "completed" and (as_json or quiet):
        typer.echo("\n".join(verdict.notes[:1]), err=True)
    from chaosctl.report.console import print_summary
    from chaosctl.verify.verdict_json import verdict_to_dict

    if as_json:
        typer.echo(json.dumps(verdict_to_dict(verdict), indent=2, ensure_ascii=False))
    elif quiet:
        typer.echo(f"{verdict.status} {folder / 'report.html'}")
    else:
        from rich.console import Console

        print_summary(verdict, Console(highlight=False), folder / "report.html")
