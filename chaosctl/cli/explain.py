"""Show how a verdict came about.

The definition, the recorded facts in order, the numbers, and where in the run's files they stand. Without an
objective: a line for each.

Example: chaosctl explain reports/world-crash/latest recovery
"""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl.cli.arguments import RunFolder, find_run


def command(
    run: RunFolder,
    objective: Annotated[
        str | None,
        typer.Argument(help="An objective (recovery) or one of its findings (recovery.steady).", metavar="OBJECTIVE"),
    ] = None,
) -> None:
    """Judge the recording and print how that came about."""
    from rich.console import Console

    from chaosctl.cli.judging import judge_recording
    from chaosctl.recording.reader import Recording
    from chaosctl.report.console import print_lines
    from chaosctl.report.explanation import explain, overview

    recording = Recording.open(find_run(run))
    verdict = judge_recording(recording)
    lines = overview(verdict) if objective is None else explain(recording, verdict, objective)
    print_lines(lines, Console(highlight=False))
