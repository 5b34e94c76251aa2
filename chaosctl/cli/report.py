"""Make a recorded run's reports again.

verdict.json, report.html, junit.xml and summary.md, from its files alone.

Example: chaosctl report reports/world-crash/latest
"""

from __future__ import annotations

import typer

from chaosctl.cli.arguments import RunFolder, find_run


def command(run: RunFolder) -> None:
    """Write the reports into the run's folder and name them."""
    from chaosctl.cli.judging import report_run

    folder = find_run(run)
    report_run(folder, lambda verdict: typer.echo(f"{verdict.status}: {verdict.experiment} {verdict.run_id}"))
    for name in ("report.html", "verdict.json", "junit.xml", "summary.md"):
        typer.echo(f"  {folder / name}")
