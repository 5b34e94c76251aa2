"""Check experiment files.

Names, units, places, times, objectives; every problem at once, with its position. Nothing is started.

Example: chaosctl validate experiments/arena/world-crash.yaml
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chaosctl.cli.arguments import Overrides, load
from chaosctl.errors import ExperimentError, Problem


def command(
    files: Annotated[list[Path], typer.Argument(help="The experiment files (YAML).", metavar="FILE...")],
    overrides: Overrides = None,
) -> None:
    """Check each file and report every problem of all of them."""
    problems: list[Problem] = []
    for file in files:
        try:
            loaded = load(file, overrides)
        except ExperimentError as error:
            problems.extend(error.problems)
        else:
            typer.echo(f"{file}: valid ({loaded.experiment.name}, fingerprint {loaded.fingerprint})")
    if problems:
        raise ExperimentError(tuple(problems))
