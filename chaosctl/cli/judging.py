"""From a recording to what a person or a pipeline sees: judge it, write its reports, print the summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from chaosctl.verify.contract import Verdict


def judge_run(folder: Path) -> Verdict:
    """Read the bundle and judge it. Raises RecordingError."""
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.judge import judge

    return judge(Recording.open(folder))


def report_run(folder: Path, then: Callable[[Verdict], None]) -> Verdict:
    """Judge the bundle, make its reports (anew), and call `then` with the verdict, also when a report fails.

    Raises RecordingError, after that, naming the reports that could not be written.
    """
    from chaosctl.recording.reader import Recording
    from chaosctl.report.write import write_reports
    from chaosctl.verify.judge import judge

    recording = Recording.open(folder)
    verdict = judge(recording)
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
