"""Shrink a failing run to the few faults that still make it fail.

Runs the experiment again and again, each time with some of its faults left out, until none of those that are left can
be left out alone. What is left is written down as an experiment of its own.

Example: chaosctl shrink reports/random-faults/latest --within 20m
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaosctl.cli import run as running
from chaosctl.cli.arguments import RunFolder, find_run
from chaosctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.plan.model import Plan
    from chaosctl.plan.subset import Unit
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.contract import Verdict

EXPERIMENT = "experiment.yaml"
# What a run was told beside its experiment, and is told again.
HOW = ("--relay", "--relay-image", "--toxiproxy")
# Bringing up and down, and judging: what a run takes beyond its load, before one was seen.
BESIDE_LOAD_S = 10.0


def command(
    run: RunFolder,
    objective: Annotated[
        str | None, typer.Option("--objective", help="Which one is to fail; left out: the first that did.")
    ] = None,
    within: Annotated[str, typer.Option("--within", help="How long to look for them.", metavar="DURATION")] = "30m",
    runs: Annotated[int, typer.Option("--runs", min=1, max=10_000, help="How often to run it at most.")] = 50,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep the runs in this folder, which must be new or empty.")
    ] = None,
    allow_external: running.AllowExternal = None,
) -> None:
    """Print and write the faults that are left. Exits with 0, or 6 if the whole does not fail again."""
    from chaosctl.cli.recorded import experiment_of, overrides_of
    from chaosctl.recording.reader import Recording

    within_s = _seconds(within)
    bundle = find_run(run)
    recording = Recording.open(bundle)
    name = _failing(bundle, objective)
    loaded = experiment_of(recording)
    running.refuse_unless_allowed(loaded, allow_external)
    plan = _same_plan(recording, loaded)
    folder = out or bundle.parent / f"{bundle.name}-shrunk"
    _refuse_if_full(folder)
    player = _Player(_how(recording, loaded, allow_external), folder, name)
    bounds = _Bounds(runs, time.monotonic() + within_s, plan.end_ns / 1e9 + BESIDE_LOAD_S)
    found = _search(plan, player.status, bounds)
    raise typer.Exit(_say(found, player, recording, overrides_of(recording)))


def _seconds(within: str) -> float:
    from chaosctl.experiment.units import parse_duration_ns

    try:
        return parse_duration_ns(within) / 1e9
    except ValueError as error:
        raise UsageError(f"--within {within}: {error}") from None


def _failing(bundle: Path, wanted: str | None) -> str:
    """Return the name of the finding that is to fail again. Raises UsageError where there is none."""
    from chaosctl.cli.judging import judge_run

    failed = [finding.name for finding in judge_run(bundle).objectives if finding.status == "fail"]
    if not failed:
        raise UsageError(f"{bundle}: no objective fails in this run; name a run that fails")
    if wanted is None:
        return failed[0]
    for name in failed:
        if wanted == name or name.startswith(f"{wanted}."):
            return name
    raise UsageError(f"--objective {wanted}: does not fail in this run; those that do: {', '.join(failed)}")


def _same_plan(recording: Recording, loaded: Loaded) -> Plan:
    """Make the run's plan again: what is on disk lacks what a fault puts into an environment. Raises UsageError."""
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.plan.build import build_plan

    plan = build_plan(loaded, recording.plan.seed, fault_kinds())

    def moments(of: Plan) -> list[tuple[str, str, int]]:
        return [(fault.id, fault.on, fault.inject_ns) for fault in of.faults]

    known = {fault.id for fault in recording.plan.faults}
    kept = [moment for moment in moments(plan) if moment[0] in known]
    if kept != moments(recording.plan):
        raise UsageError(f"{recording.folder}: was planned by another version of chaosctl; run the experiment again")
    if not known:
        raise UsageError(f"{recording.folder}: has no fault that could be left out; name a run with faults")
    from chaosctl.plan.subset import only

    return only(plan, known)


def _refuse_if_full(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder; name a new or an empty one with --out")


def _how(recording: Recording, loaded: Loaded, allow_external: str | None) -> running.How:
    """Return how the run was made: over the same kind of relay."""
    from chaosctl.cli.recorded import option_of
    from chaosctl.runner.relays import WantedRelay

    said = recording.events_named("relay")
    relay = dict(said[0].fields) if said else {}
    attached = relay.get("started_by_us") is False
    kind = "container" if relay.get("in_container") else str(relay.get("kind", "auto"))
    url = str(relay["api_url"]) if attached and "api_url" in relay else None
    image = next(iter(option_of(recording, "--relay-image")), None)
    return running.How(
        loaded=loaded,
        relay=WantedRelay(kind, url, image),
        mode="quiet",
        latest=None,
        allow_external=allow_external,
    )


class _Over(Exception):
    """A run did not come to its end, so no more are played."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.ended)
        self.verdict = verdict


@dataclass
class _Bounds:
    """How many runs there may be, and until when. `longest_s` is what a run takes, as far as is known."""

    most: int
    until_s: float
    longest_s: float
    played: int = 0

    def allow_one_more(self) -> bool:
        """Return whether one more run fits."""
        return self.played < self.most and time.monotonic() + self.longest_s <= self.until_s


@dataclass(frozen=True)
class _Player:
    """Plays plans, each into a bundle of its own, and says what comes of the finding `name`."""

    how: running.How
    folder: Path
    name: str

    def status(self, plan: Plan, number: int) -> str:
        """Play it, and return `pass`, `fail` or `inconclusive`.

        Raises _Over for a run that was interrupted, stopped, or could not be played.
        """
        from chaosctl.cli.judging import report_run
        from chaosctl.verify.trials import ends_the_rest

        bundle = self.folder / f"run-{number}"
        running.record(self.how, plan, bundle, running.new_run_id(), None)
        verdict = report_run(bundle, lambda _: None)
        if ends_the_rest(verdict):
            raise _Over(verdict)
        found = next((finding for finding in verdict.objectives if finding.name == self.name), None)
        status = "inconclusive" if found is None else str(found.status)
        typer.echo(f"run {number}: {_count(plan)}: {self.name} {status}", err=True)
        return status


@dataclass(frozen=True)
class _Found:
    """What is left: None if the whole did not fail again. Of the runs `played`, `unclear` were inconclusive, which is
    not to fail. `over`: what ended the search before its time."""

    plan: Plan | None
    minimal: bool
    played: int
    of: int
    unclear: int = 0
    over: Verdict | None = None


def _search(plan: Plan, status: Callable[[Plan, int], str], bounds: _Bounds) -> _Found:
    """Look for the few faults that still show it; the whole comes first, for it may have failed by chance.

    `status(plan, number)` plays it; raises _Over.
    """
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.plan.subset import only, units
    from chaosctl.replay.shrinking import ddmin

    smallest: Plan | None = None
    known: dict[frozenset[Unit], bool] = {}
    unclear = 0

    def shows(kept: Sequence[Unit]) -> bool:
        nonlocal smallest, unclear
        if (seen := known.get(frozenset(kept))) is not None:
            return seen
        candidate = only(plan, {fault for unit in kept for fault in unit})
        bounds.played += 1
        began_s = time.monotonic()
        ended = status(candidate, bounds.played)
        failed, unclear = ended == "fail", unclear + (ended == "inconclusive")
        bounds.longest_s = max(time.monotonic() - began_s, bounds.longest_s)
        known[frozenset(kept)] = failed
        if failed:
            smallest = candidate
        return failed

    whole, minimal, over = units(plan, fault_kinds()), False, None
    try:
        if shows(whole):
            minimal = ddmin(whole, shows, bounds.allow_one_more).minimal
    except _Over as stopped:
        over = stopped.verdict
    return _Found(smallest, minimal, bounds.played, len(plan.faults), unclear, over)


def _say(found: _Found, player: _Player, recording: Recording, overrides: Sequence[str]) -> int:
    """Print and write what was found. Return the exit code."""
    from chaosctl.cli.recorded import option_of

    if found.over is not None:
        typer.echo("\n".join(found.over.notes[:1]) or f"a run ended early: {found.over.ended}", err=True)
    if found.plan is None:
        if found.over is None:
            typer.echo(
                f"{player.name} did not fail again with all {found.of} faults: it may fail by chance; try again, "
                "or look how often it does with `chaosctl run --trials`"
            )
        return int(ExitCode.INCONCLUSIVE) if found.over is None else found.over.exit_code
    sentence = _sentence(found, player.name)
    said = [f"What is left of {recording.folder.name}.", sentence]
    file = _write(found.plan, player.folder, player.how.loaded, overrides, said)
    _show(found.plan)
    typer.echo(sentence)
    kept = [text for text in overrides if not text.startswith(("timeline", "chaos"))]
    sets = "".join(f" --set {shlex.quote(text)}" for text in kept)
    how = "".join(f" {option} {shlex.quote(one)}" for option in HOW for one in option_of(recording, option)[:1])
    how += f" --allow-external {_name(found.plan)}" * (player.how.allow_external is not None)
    typer.echo(f"Show it: chaosctl run {shlex.quote(str(file))}{sets} --seed {found.plan.seed}{how}")
    return int(ExitCode.PASS) if found.over is None else found.over.exit_code


def _sentence(found: _Found, name: str) -> str:
    assert found.plan is not None
    times = f"{found.played} run{'s' * (found.played > 1)}"
    times += f", {found.unclear} of them inconclusive" if found.unclear else ""
    if not found.plan.faults:
        return f"{name} fails without any fault ({times}): look at the target and the load."
    how = (
        "without any one of them it did not"
        if found.minimal
        else "the search ended before its time, so there may be fewer"
    )
    return f"{_count(found.plan)} of {found.of} left, and {name} still fails; {how} ({times})."


def _count(plan: Plan) -> str:
    return f"{len(plan.faults)} fault{'s' * (len(plan.faults) != 1)}"


def _write(plan: Plan, folder: Path, loaded: Loaded, overrides: Sequence[str], said: Sequence[str]) -> Path:
    """Write the experiment that has these faults alone."""
    from chaosctl.experiment.loader import fault_items
    from chaosctl.plan.excerpt import excerpt
    from chaosctl.recording.writer import write_atomically

    extends = os.path.relpath(loaded.path.resolve(), folder.resolve())
    written = fault_items(loaded.path, overrides, os.environ)
    file = folder / EXPERIMENT
    write_atomically(file, excerpt(plan, extends, _name(plan), written, said))
    return file


def _name(plan: Plan) -> str:
    """Return what the experiment with the faults that are left is called."""
    return f"{plan.experiment[:56]}-shrunk"


def _show(plan: Plan) -> None:
    from chaosctl.plan.table import plan_rows

    ids = {fault.id for fault in plan.faults}
    for at, what, on, how, until in plan_rows(plan):
        if what in ids:
            typer.echo(f"{at:>7}  {what}  {on}" + (f"  {how}" if how else "") + (f"  until {until}" if until else ""))
