"""Write a working starter into a folder.

A small multiplayer target, its bots, and experiments that run at once.

Example: chaosctl init my-chaos && cd my-chaos && chaosctl run experiments/arena/world-crash.yaml
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

import chaosctl
from chaosctl.errors import NotReadyError, UsageError

CONTENTS = ("experiments/arena", "bots/arena.py")


def command(
    folder: Annotated[Path, typer.Argument(help="Where to write it; must be new or empty.", metavar="FOLDER")] = Path(),
) -> None:
    """Write the starter and say what to do next."""
    from chaosctl.cli.schema import schema_text

    source = starter_source()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder}: is not an empty folder; name a new one: chaosctl init my-chaos")
        for name in CONTENTS:
            _copy(source / name, folder / name)
        (folder / "docs").mkdir()
        (folder / "docs" / "experiment.schema.json").write_text(schema_text(), encoding="utf-8")
    except OSError as error:
        raise NotReadyError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    typer.echo(f"wrote a starter to {folder}/; run it:")
    if folder != Path():
        typer.echo(f"  cd {folder}")
    typer.echo("  chaosctl run experiments/arena/world-crash.yaml")


def starter_source() -> Path:
    """Return the folder that holds CONTENTS: the checkout that this is run from, or the installed package's copy."""
    package = Path(chaosctl.__file__).parent
    for candidate in (package.parent, package / "starter"):
        if all((candidate / name).exists() for name in CONTENTS):
            return candidate
    raise NotReadyError(f"{package}: the starter files are missing from this installation; install chaosctl again")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
