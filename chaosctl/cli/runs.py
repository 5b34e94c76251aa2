"""List the recorded runs.

Those below reports/, newest first, with their verdicts.

Example: chaosctl runs --limit 5
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chaosctl.cli.arguments import REPORTS, AsJson


def command(
    folder: Annotated[Path, typer.Argument(help="Where the runs are.", metavar="FOLDER")] = REPORTS,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print a line a run."""
    bundles = {path.parent.resolve() for path in folder.glob("**/run.json")}
    series = {path.parent.resolve() for path in folder.glob("**/trials.json")}
    rows = [_row(bundle) for bundle in bundles if bundle.parent not in series] + [_series_row(one) for one in series]
    rows = sorted(rows, key=lambda row: row["started"], reverse=True)[:limit]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo(f"no runs below {folder}/; start one with: chaosctl run FILE")
    for row in rows:
        trials = f"  ({row['trials']})" if "trials" in row else ""
        typer.echo(f"{row['started'][:19]:<19}  {row['status']:<12}  {row['experiment']:<24}  {row['folder']}{trials}")


def _row(bundle: Path) -> dict[str, Any]:
    run, verdict = _read(bundle / "run.json"), _read(bundle / "verdict.json")
    return {
        "run_id": run.get("run_id", bundle.name),
        "experiment": run.get("experiment", bundle.parent.name),
        "started": run.get("wall", ""),
        "seed": run.get("seed"),
        "status": verdict.get("status", "not judged"),
        "folder": str(bundle),
    }


def _series_row(folder: Path) -> dict[str, Any]:
    """Several trials are one row: theirs would crowd out everything else."""
    summary = _read(folder / "trials.json")
    rows = summary.get("trials")
    statuses = [row.get("status") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    bad = [f"{statuses.count(word)} {word}" for word in ("fail", "inconclusive", "pass") if word in statuses]
    first = _row(folder / "trial-1")
    return {
        **first,
        "run_id": summary.get("trials_id", folder.name),
        "status": summary.get("status", "not judged"),
        "folder": str(folder),
        "trials": f"{len(statuses)} trials: {', '.join(bad)}",
    }


def _read(path: Path) -> dict[str, Any]:
    """A listing goes on where one file is torn; `verify` says what is wrong with that run."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
