"""Arguments that several commands share, and how they find an experiment or a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaosctl.errors import UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded

ExperimentFile = Annotated[Path, typer.Argument(help="The experiment file (YAML).", metavar="FILE")]
RunFolder = Annotated[
    Path, typer.Argument(help="The run's folder, or an experiment's folder for its latest run.", metavar="RUN")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a value: --set swarm.users=500. May be given again.", metavar="PATH=VALUE"),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The number that every random choice follows from.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for a program instead of text for a person.")]
DEFAULT_SEED = 1
REPORTS = Path("reports")


def load(file: Path, overrides: list[str] | None) -> Loaded:
    """Load an experiment with every fault and objective that is installed. Raises ExperimentError."""
    from chaosctl.experiment.loader import load_experiment
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.verify.registry import objective_kinds

    return load_experiment(file, fault_kinds(), objective_kinds(), overrides=overrides or (), environ=os.environ)


def find_run(folder: Path) -> Path:
    """Return the bundle that `folder` means: itself, or the `latest` below it. Raises UsageError."""
    for candidate in (folder, folder / "latest"):
        if (candidate / "run.json").is_file():
            return candidate.resolve()
    for candidate in (folder, folder / "latest"):
        if (candidate / "trials.json").is_file() or (candidate / "trial-1" / "run.json").is_file():
            raise UsageError(f"{folder}: holds several trials; name one of them, such as {candidate / 'trial-1'}")
    raise UsageError(f"{folder}: holds no recorded run; `chaosctl runs` lists those below {REPORTS}/")
