"""Judge a recorded run again.

From its files alone; the same files give the same verdict. Of a folder of trials, each of them.

Example: chaosctl verify reports/world-crash/latest
"""

from __future__ import annotations

import typer

from chaosctl.cli.arguments import AsJson, RunFolder, find_run


def command(run: RunFolder, as_json: AsJson = False) -> None:
    """Print the verdict and exit with its code."""
    from chaosctl.cli.judging import judge_run, show
    from chaosctl.cli.trials import find_trials, show_summary, summary_of

    if (series := find_trials(run)) is not None:
        summary = summary_of(series, judge_run)
        show_summary(summary, series, as_json=as_json)
        raise typer.Exit(summary.exit_code)
    folder = find_run(run)
    verdict = judge_run(folder)
    show(verdict, folder, as_json=as_json)
    raise typer.Exit(verdict.exit_code)
