"""What `chaosctl run --dry-run` prints. Not a command of its own."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from chaosctl.errors import UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.plan.model import Plan
    from chaosctl.runner.rehearsal.notes import Call
    from chaosctl.runner.relays import WantedRelay

_TITLES = {
    "up": "Before the load",
    "load": "The load (times from its start; what undoes a fault is on disk before it)",
    "after": "After the load",
}


def show_calls(loaded: Loaded, plan: Plan, relay: WantedRelay, trials: int, *, as_json: bool) -> None:
    """Print every call that a run of this plan would make, for people or as JSON. Raises UsageError, and
    NotReadyError for what the engine that DOCKER_HOST names cannot be used for."""
    from chaosctl.faults.registry import faults
    from chaosctl.runner.elsewhere import refuse_what_cannot_be_there
    from chaosctl.runner.rehearsal.rehearse import rehearse

    if trials > 1:
        raise UsageError("--dry-run shows one run; leave --trials out")
    refuse_what_cannot_be_there(loaded.experiment.target, plan, faults(), relay, os.environ)
    calls = rehearse(loaded, plan, faults(), relay)
    if as_json:
        typer.echo(json.dumps([asdict(call) for call in calls], indent=2, ensure_ascii=False))
        return
    typer.echo(f"{plan.experiment}, seed {plan.seed}: a dry run, nothing is started")
    typer.echo("\n".join(_lines(calls)))


def _lines(calls: tuple[Call, ...]) -> list[str]:
    from chaosctl.experiment.units import format_duration

    width = max(len(call.by) for call in calls)
    lines: list[str] = []
    stage = ""
    for call in calls:
        if call.stage != stage:
            lines += ["", _TITLES[call.stage]]
            stage = call.stage
        at = "" if call.at_ns is None else format_duration(call.at_ns)
        lines.append(f"{at:>8}  {call.by:<{width}}  {call.what}")
        lines += [f"{'':>8}  {'':<{width}}    undone by {undo}" for undo in call.undo]
    return lines
