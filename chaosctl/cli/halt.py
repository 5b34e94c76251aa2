"""Stop every run that is going, and let none start.

They heal, tear down and end with 5. Nothing starts again until `chaosctl resume`.

Example: chaosctl halt --reason "the shop is open"
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chaosctl.safety.runs import Run

_LOOK_EVERY_S = 0.05


def command(
    reason: Annotated[
        str, typer.Option("--reason", help="Why; whoever wants to run something is told.", metavar="TEXT")
    ] = "",
    within_s: Annotated[
        float, typer.Option("--within", min=0, help="Wait so long for the runs to end.", metavar="SECONDS")
    ] = 60.0,
) -> None:
    """Halt, wait for the runs to end, and say what became of each. Exits with 8 if one has not ended cleanly."""
    from chaosctl.errors import CleanupError
    from chaosctl.safety import lever, runs

    halt = lever.pull(" ".join(reason.split()))
    typer.echo(f"halted {halt}")
    typer.echo(f"no run starts until {lever.RESUME}")
    listed = (*runs.active(), *runs.abandoned())
    if not listed:
        typer.echo("no run was going")
    left = _await(listed, within_s)
    if left:
        raise CleanupError("\n".join(left))


def _await(listed: tuple[Run, ...], within_s: float) -> list[str]:
    """Say of each run when nothing is left of it; return a sentence for each of which something is."""
    left: list[str] = []
    end_s = time.monotonic() + within_s
    while listed:
        waiting = []
        for run in listed:
            kept = run.is_kept  # asked before the registry is: what ends in between is seen as ended
            if not _is_registered(run):
                typer.echo(f"run {run.run_id}: has ended, and nothing is left of it")
            elif kept:
                waiting.append(run)
            else:
                left.append(_abandoned(run))
        listed = tuple(waiting)
        if listed and time.monotonic() >= end_s:
            return [*left, *(_stuck(run, within_s) for run in listed)]
        time.sleep(_LOOK_EVERY_S if listed else 0)
    return left


def _is_registered(run: Run) -> bool:
    from chaosctl.safety import runs

    return run.run_id in {other.run_id for other in (*runs.active(), *runs.abandoned())}


def _abandoned(run: Run) -> str:
    return f"run {run.run_id}: its chaosctl is gone, and what it left is not cleaned up; `chaosctl restore` does that"


def _stuck(run: Run, within_s: float) -> str:
    return (
        f"run {run.run_id}: has not ended within {within_s:g} s; "
        f"`kill -9 {run.pid}` ends it at once, and its keeper heals and cleans up"
    )
