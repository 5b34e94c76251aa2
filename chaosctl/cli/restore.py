"""Undo what a killed run left behind.

Heals its faults and ends its processes. Safe to call again.

Example: chaosctl restore
"""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    run_id: Annotated[str | None, typer.Argument(help="Only this run.", metavar="RUN_ID")] = None,
) -> None:
    """Restore every abandoned run, and say what was done. Exits with 8 if something could not be undone, with 2 if the
    run that is named is still going."""
    from chaosctl.errors import CleanupError
    from chaosctl.safety import runs

    named = [run for run in runs.active() if run.run_id == run_id]  # `runs.restore` refuses it
    abandoned = named or [run for run in runs.abandoned() if run_id in (None, run.run_id)]
    if not abandoned:
        typer.echo("nothing to restore: no run was abandoned")
    left: list[str] = []
    for run in abandoned:
        typer.echo(f"{run.run_id}:")
        try:
            for sentence in runs.restore(run, lambda sentence: typer.echo(f"  {sentence}")):
                typer.echo(f"  {sentence}")
        except CleanupError as error:
            left.append(str(error))
    if left:
        raise CleanupError("\n".join(left))
