"""The typer application. Commands import what they need when they are called, so that `--help` is there at once."""

from __future__ import annotations

from typing import Annotated

import typer

from chaosctl import __version__
from chaosctl.cli import (
    doctor,
    explain,
    faults,
    halt,
    init,
    plan,
    replay,
    report,
    restore,
    resume,
    run,
    runs,
    schema,
    shrink,
    validate,
    verify,
)

app = typer.Typer(
    name="chaosctl",
    help="Load, faults and proof in one file and one command, for stateful, real-time servers.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chaosctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (
    run,
    validate,
    plan,
    faults,
    verify,
    replay,
    shrink,
    explain,
    report,
    runs,
    doctor,
    init,
    schema,
    restore,
    halt,
    resume,
):
    name = command.__name__.rsplit(".", 1)[-1]
    app.command(name, help=command.__doc__)(command.command)
