"""Several trials of one experiment: played one after another, and summed up from their bundles.

Not a command of its own: `chaosctl run --trials` plays them, `verify`, `report` and `runs` know their folder.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from chaosctl.errors import ExitCode, RecordingError, UsageError

if TYPE_CHECKING:
    from chaosctl.verify.contract import Verdict
    from chaosctl.verify.trials import Trial, TrialsSummary

_SEED_BITS = 32


@dataclass(frozen=True)
class Series:
    """What is to be played: `count` trials into `folder`, the first with `seed`."""

    experiment: str
    trials_id: str
    folder: Path
    seed: int
    count: int


Play = Callable[[int, Path, str, Mapping[str, Any]], None]


def trial_seeds(first: int, count: int) -> tuple[int, ...]:
    """Return the seeds of the trials: the first as given, the others drawn from it; the same for any `count`."""
    drawn = random.Random(f"trials:{first}")
    seeds = {first: None}
    while len(seeds) < count:
        seeds[drawn.getrandbits(_SEED_BITS)] = None
    return tuple(seeds)


def play_series(series: Series, play: Play, *, as_json: bool, quiet: bool) -> int:
    """Play the trials, each a bundle of its own, then sum up those that there are. Return the exit code.

    `play(seed, folder, run_id, trials)` records one run; `trials` is what its run.json says of the series. A trial that
    was interrupted, stopped or could not be played is the last one. Raises UsageError for a folder that is not new or
    empty, RecordingError.
    """
    _new_or_empty(series.folder)
    try:
        for number, seed in enumerate(trial_seeds(series.seed, series.count), 1):
            verdict = _play_one(series, number, seed, play)
            if not as_json and not quiet:
                _say_one(series, number, verdict)
            if _is_last(verdict):
                break
    finally:  # also when a report could not be written, or judging was interrupted: what is there is summed up
        code = _sum_up_and_show(series.folder, as_json=as_json, quiet=quiet)
    return code


def trials_in(folder: Path) -> tuple[Path, ...]:
    """Return the bundles of the trials in a folder, in the order of their numbers."""
    named = ((re.fullmatch(r"trial-(\d+)", path.name), path) for path in folder.glob("trial-*"))
    found = [(int(match[1]), path) for match, path in named if match and (path / "run.json").is_file()]
    return tuple(path for _, path in sorted(found))


def find_trials(folder: Path) -> Path | None:
    """Return the folder of trials that `folder` means: itself, or the `latest` below it; None if it is a run's."""
    for candidate in (folder, folder / "latest"):
        if (candidate / "run.json").is_file():
            return None
        if trials_in(candidate):
            return candidate.resolve()
    return None


def sum_up(folder: Path) -> TrialsSummary:
    """Sum up the trials' stored verdicts and write trials.json, trials.html and summary.md. Raises RecordingError."""
    from chaosctl.recording.writer import write_atomically
    from chaosctl.report.trials import render_trials

    summary = summary_of(folder, stored_verdict)
    for name, text in render_trials(summary).items():
        write_atomically(folder / name, text)
    return summary


def summary_of(folder: Path, verdict_of: Callable[[Path], Verdict | None]) -> TrialsSummary:
    """Sum up the trials of a folder by the verdict that `verdict_of` gives for each bundle. Writes nothing."""
    from chaosctl.verify.trials import summarise

    runs = [(path, _identity(path)) for path in trials_in(folder)]
    trials = [_trial(path, run, verdict_of(path)) for path, run in runs]
    said = next((run for _, run in runs if isinstance(run.get("trials"), dict)), {})
    series: dict[str, Any] = said.get("trials", {})
    asked = series.get("of")
    return summarise(
        experiment=str(said.get("experiment", folder.parent.name)),
        trials_id=str(series.get("id", folder.name)),
        asked=asked if isinstance(asked, int) else len(trials),
        trials=trials,
    )


def stored_verdict(bundle: Path) -> Verdict | None:
    """Return what verdict.json says; None where it is missing or damaged: that trial was not judged."""
    from chaosctl.verify.verdict_json import verdict_from_dict

    try:
        data = json.loads((bundle / "verdict.json").read_bytes())
        return verdict_from_dict(data) if isinstance(data, dict) else None
    except (OSError, ValueError, RecordingError):
        return None


def show_summary(summary: TrialsSummary, folder: Path, *, as_json: bool, quiet: bool = False) -> None:
    """Print the summary: as JSON, as one line, or for people."""
    from chaosctl.report.trials import PAGE, console_lines
    from chaosctl.verify.trials import summary_to_dict

    if as_json:
        typer.echo(json.dumps(summary_to_dict(summary), indent=2, ensure_ascii=False))
    elif quiet:
        typer.echo(f"{summary.status} {folder / PAGE}")
    else:
        _print([*console_lines(summary), *(f"Report: {path}" for path in [folder / PAGE] if path.exists())])


def _sum_up_and_show(folder: Path, *, as_json: bool, quiet: bool) -> int:
    if not trials_in(folder):
        return int(ExitCode.NOT_READY)  # whatever kept the first one from being recorded is on its way up
    summary = sum_up(folder)
    show_summary(summary, folder, as_json=as_json, quiet=quiet)
    return summary.exit_code


def _play_one(series: Series, number: int, seed: int, play: Play) -> Verdict:
    from chaosctl.cli.judging import report_run

    bundle = series.folder / f"trial-{number}"
    said = {"id": series.trials_id, "number": number, "of": series.count}
    play(seed, bundle, f"{series.trials_id}-{number}", said)
    return report_run(bundle, lambda _: None)


def _say_one(series: Series, number: int, verdict: Verdict) -> None:
    from chaosctl.report.trials import trial_line
    from chaosctl.verify.trials import Trial, summarise

    trial = Trial(number, f"trial-{number}", verdict.run_id, verdict.seed, verdict)
    _print([trial_line(summarise(series.experiment, series.trials_id, series.count, [trial]), number)])


def _print(lines: list[str]) -> None:
    from rich.console import Console

    from chaosctl.report.console import print_lines

    print_lines(lines, Console(highlight=False))


def _is_last(verdict: Verdict) -> bool:
    from chaosctl.verify.trials import ends_the_rest

    return ends_the_rest(verdict)


def _trial(path: Path, run: dict[str, Any], verdict: Verdict | None) -> Trial:
    from chaosctl.verify.trials import Trial

    number, seed = int(path.name.removeprefix("trial-")), run.get("seed")
    return Trial(number, path.name, str(run.get("run_id", path.name)), seed if isinstance(seed, int) else 0, verdict)


def _identity(bundle: Path) -> dict[str, Any]:
    try:
        data = json.loads((bundle / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _new_or_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder; name a new or an empty one with --out")
