"""Let runs start again after `chaosctl halt`.

Example: chaosctl resume
"""

from __future__ import annotations

import typer


def command() -> None:
    """Lift the halt, and say whose it was."""
    from chaosctl.safety import lever

    halt = lever.lift()
    typer.echo("nothing was halted" if halt is None else f"runs may start again; it was halted {halt}")
