"""Run an experiment and judge it.

Brings the target up, loads it, injects the faults, heals, tears down, judges, reports.

Example: chaosctl run experiments/arena/world-crash.yaml --seed 7

Nine times, each with a seed of its own, and one summary: chaosctl run experiments/arena/world-crash.yaml --trials 9
"""

from __future__ import annotations

import os
import platform
import secrets
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from chaosctl.cli.arguments import DEFAULT_SEED, REPORTS, AsJson, ExperimentFile, Overrides, Seed, load
from chaosctl.cli.dry_run import show_calls
from chaosctl.errors import RecordingError, UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.plan.model import Plan
    from chaosctl.runner.relays import WantedRelay


class RelayChoice(StrEnum):
    """Which relay carries the links."""

    AUTO = "auto"
    EMBEDDED = "embedded"
    TOXIPROXY = "toxiproxy"
    CONTAINER = "container"


Trials = Annotated[
    int,
    typer.Option(
        "--trials", min=1, max=1000, metavar="N", help="Run it so often, each time with a seed drawn from --seed."
    ),
]
Relay = Annotated[
    RelayChoice,
    typer.Option(
        help="auto: a Toxiproxy given or found on PATH, otherwise the embedded relay. container: a Toxiproxy in a "
        "container beside those of the target; with a remote engine that is what auto means."
    ),
]
RelayImage = Annotated[
    str | None,
    typer.Option(
        "--relay-image",
        metavar="NAME",
        help="Make the relay's container from this image of Toxiproxy, and not from the server on PATH.",
    ),
]
AllowExternal = Annotated[
    str | None,
    typer.Option(
        "--allow-external",
        metavar="NAME",
        help="Allow the experiment of this name to act on services that chaosctl did not start.",
    ),
]


def command(
    file: ExperimentFile,
    seed: Seed = DEFAULT_SEED,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the run to exactly this folder, which must be new or empty.")
    ] = None,
    overrides: Overrides = None,
    trials: Trials = 1,
    relay: Relay = RelayChoice.AUTO,
    toxiproxy: Annotated[
        str | None, typer.Option("--toxiproxy", help="Use this running Toxiproxy server.", metavar="URL")
    ] = None,
    relay_image: RelayImage = None,
    allow_external: AllowExternal = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print every call that would be made; nothing is started.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print one line, at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the experiment and exit with its verdict's code."""
    from chaosctl.faults.registry import fault_kinds
    from chaosctl.plan.build import build_plan
    from chaosctl.runner.relays import WantedRelay

    if toxiproxy is not None:
        toxiproxy = _checked_address(toxiproxy)
    loaded = load(file, overrides)
    if dry_run:
        plan = build_plan(loaded, seed, fault_kinds())
        show_calls(loaded, plan, WantedRelay(relay.value, toxiproxy, relay_image), trials, as_json=as_json)
        return
    refuse_unless_allowed(loaded, allow_external)
    run_id = new_run_id()
    folder = out if out is not None else REPORTS / loaded.experiment.name / run_id
    wanted_relay = WantedRelay(relay.value, toxiproxy, relay_image)
    how = How(loaded, wanted_relay, _view_mode(quiet, as_json), folder if out is None else None, allow_external)

    def play(seed: int, bundle: Path, run_id: str, series: Mapping[str, Any] | None = None) -> None:
        record(how, build_plan(loaded, seed, fault_kinds()), bundle, run_id, series)

    if trials > 1:
        from chaosctl.cli.trials import Series, play_series

        wanted = Series(loaded.experiment.name, run_id, folder, seed, trials)
        raise typer.Exit(play_series(wanted, play, as_json=as_json, quiet=quiet))
    play(seed, folder, run_id)
    raise typer.Exit(_judged(folder, as_json=as_json, quiet=quiet))


def _judged(folder: Path, *, as_json: bool, quiet: bool) -> int:
    """Judge the run, show its verdict, and return the exit code."""
    from chaosctl.cli.judging import report_run, show

    return report_run(folder, lambda verdict: show(verdict, folder, as_json=as_json, quiet=quiet)).exit_code


@dataclass(frozen=True)
class How:
    """How to run, whatever the seed. `latest`: what `reports/<experiment>/latest` is to point at; None: nothing.
    `allow_external` is the experiment that may act on what chaosctl did not start."""

    loaded: Loaded
    relay: WantedRelay
    mode: Literal["live", "plain", "quiet"]
    latest: Path | None
    allow_external: str | None = None


def refuse_unless_allowed(loaded: Loaded, allowed: str | None) -> None:
    """Raises UsageError for an experiment on services that are not ours, unless the operator names it."""
    name, target = loaded.experiment.name, loaded.experiment.target
    attached = target.driver == "compose" and target.compose.attach
    if not (target.driver == "external" or attached) or allowed == name:
        return
    there = {a: service for service, one in target.services.items() for those in one.addresses.values() for a in those}
    where = ", ".join(f"{service} at {address}" for address, service in there.items())
    where = f"the compose project {target.compose.project}" if attached else where
    but = "" if allowed is None else f", and --allow-external names another one ({allowed})"
    raise UsageError(
        f"{name} acts on what chaosctl did not start ({where}){but}; if you may do that, add --allow-external {name}"
    )


def _checked_address(text: str) -> str:
    """Return the URL of a Toxiproxy's API. Raises UsageError for what cannot be one."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = parts.scheme == "http" and parts.hostname and parts.port and parts.path in ("", "/")
    except ValueError:  # a port that is no number, or too large
        usable = False
    if not usable:
        raise UsageError(f"--toxiproxy {text}: is not an address such as http://127.0.0.1:8474")
    return f"http://{parts.netloc}"


def new_run_id() -> str:
    """Return a new run's name: when it began, and something that tells two of one second apart."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def record(how: How, plan: Plan, folder: Path, run_id: str, series: Mapping[str, Any] | None) -> None:
    """Play the run into `folder`. How it ended is in the bundle. Raises UsageError, RecordingError, and
    NotReadyError while chaosctl is halted."""
    from rich.console import Console

    from chaosctl.cli.live import make_view
    from chaosctl.clock import MonotonicClock
    from chaosctl.faults.registry import faults
    from chaosctl.plan.codec import plan_to_json
    from chaosctl.recording.writer import RunWriter
    from chaosctl.runner.elsewhere import refuse_what_cannot_be_there
    from chaosctl.runner.run import Run, RunOptions
    from chaosctl.safety.lever import refuse_if_pulled

    refuse_unless_allowed(how.loaded, how.allow_external)
    refuse_if_pulled()
    refuse_what_cannot_be_there(how.loaded.experiment.target, plan, faults(), how.relay, os.environ)
    writer = RunWriter.create(folder)
    run = {**identity(how.loaded, plan, run_id), **({"trials": dict(series)} if series else {})}
    writer.start(how.loaded.source, plan_to_json(plan), run)
    writer.events.write("run_started", **run)
    if how.latest is not None:
        _point_latest_at(how.latest)
    view = make_view(plan, Console(stderr=True, highlight=False), how.mode)
    view.start()
    try:
        options = RunOptions(run_id=run_id, relay=how.relay)
        end = Run(how.loaded, plan, faults(), options, writer, view, MonotonicClock(), os.environ).execute()
    finally:
        view.stop()
        writer.events.close()
    if end.ended in ("failed", "crashed", "error"):
        typer.echo(end.text, err=True)


def identity(loaded: Loaded, plan: Plan, run_id: str) -> Mapping[str, Any]:
    """Return what run.json says of a run: who, when, with what, where. Names no environment variable's value."""
    from chaosctl import __version__

    words = ["chaosctl", *sys.argv[1:]]
    return {
        "run_id": run_id,
        "experiment": plan.experiment,
        "file": str(loaded.path),
        "seed": plan.seed,
        "fingerprint": plan.fingerprint,
        "version": __version__,
        "wall": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "command": shlex.join(words),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "hostname": socket.gethostname(),
        },
    }


def _view_mode(quiet: bool, as_json: bool) -> Literal["live", "plain", "quiet"]:
    if quiet or as_json:
        return "quiet"
    return "live" if sys.stderr.isatty() and not os.environ.get("CI") else "plain"


def _point_latest_at(folder: Path) -> None:
    latest = folder.parent / "latest"
    try:
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)
    except OSError as error:
        raise RecordingError(f"{latest}: cannot be pointed at the new run ({error.strerror}); remove it") from None
