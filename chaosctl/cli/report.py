"""Make a recorded run's reports again.

verdict.json, report.html, junit.xml and summary.md, from its files alone. Of a folder of trials: trials.json,
trials.html and summary.md, from the verdicts of the trials.

Example: chaosctl report reports/world-crash/latest
"""

from __future__ import annotations

import typer

from chaosctl.cli.arguments import RunFolder, find_run


def command(run: RunFolder) -> None:
    """Write the reports into the run's folder and name them."""
    from chaosctl.cli.judging import report_run
    from chaosctl.cli.trials import find_trials, sum_up

    if (series := find_trials(run)) is not None:
        summary = sum_up(series)
        typer.echo(f"{summary.status}: {summary.experiment} {summary.trials_id}")
        for name in ("trials.html", "trials.json", "summary.md"):
            typer.echo(f"  {series / name}")
        return
    folder = find_run(run)
    report_run(folder, lambda verdict: typer.echo(f"{verdict.status}: {verdict.experiment} {verdict.run_id}"))
    for name in ("report.html", "verdict.json", "junit.xml", "summary.md"):
        typer.echo(f"  {folder / name}")
