"""Judge a recorded run again.

From its files alone; the same files give the same verdict.

Example: chaosctl verify reports/world-crash/latest
"""

from __future__ import annotations

import typer

from chaosctl.cli.arguments import AsJson, RunFolder, find_run


def command(run: RunFolder, as_json: AsJson = False) -> None:
    """Print the verdict and exit with its code."""
    from chaosctl.cli.judging import judge_run, show

    folder = find_run(run)
    verdict = judge_run(folder)
    show(verdict, folder, as_json=as_json)
    raise typer.Exit(verdict.exit_code)
