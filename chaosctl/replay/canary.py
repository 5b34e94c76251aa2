"""A canary: a tiny process, started exactly as a perturbed replay is, that says what it sees of the factor.

A factor counts as tested only where its canary sees the same twice under the perturbation, and something else without.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaosctl.recording.factors import Factor
from chaosctl.replay.perturb import Perturbation
from chaosctl.replay.start import PLAIN, Start, has_ended, started

WITHIN_S = 20.0
POLL_S = 0.005
# What a canary is given for an input log.
LOG = b"canary\n" * 10
PROGRAM = "import ctypes, locale, os, signal, sys, time; print({expression})"


@dataclass(frozen=True)
class Sighting:
    """Whether the perturbation of `factor` reaches a process, and what was seen, or why it does not, in words."""

    factor: Factor
    reached: bool
    text: str


def send_canary(perturbation: Perturbation, folder: Path, env: Mapping[str, str]) -> Sighting:
    """Start canaries with and without each start of the perturbation, in `folder`, with `env`. Raises nothing."""
    factor = perturbation.factor
    try:
        plain = _ask(perturbation.seen_by, PLAIN, folder, env)
        seen = [[_ask(perturbation.seen_by, start, folder, env) for _ in range(2)] for start in perturbation.starts]
    except (OSError, ValueError) as error:
        return Sighting(factor, False, f"its canary did not run: {error}")
    for first, second in seen:
        if first != second:
            return Sighting(factor, False, f"its canary sees {first} at one time and {second} at another")
        if first == plain:
            return Sighting(factor, False, f"its canary sees {plain} with it and without it")
    text = " and ".join(first for first, _ in seen)
    more = f" ({perturbation.told})" if perturbation.told else ""
    return Sighting(factor, True, f"a process started so sees {text}, without it {plain}{more}")


def _ask(expression: str, start: Start, folder: Path, env: Mapping[str, str]) -> str:
    """Return what one canary prints. Raises ValueError when it fails, OSError."""
    with tempfile.TemporaryDirectory(prefix="chaosctl-canary-") as name:
        fresh = Path(name)
        log, said, complaint = fresh / "log", fresh / "out", fresh / "err"
        log.write_bytes(LOG)
        # -S and -P: it starts quickly, and imports nothing that lies in the folder.
        command = [sys.executable, "-S", "-P", "-c", PROGRAM.format(expression=expression), start.log_path(log)]
        until_s = time.monotonic() + WITHIN_S
        with (
            said.open("wb") as out,
            complaint.open("wb") as err,
            started(command, start, log=log, folder=folder, fresh=fresh, env=env, out=out, err=err) as process,
        ):
            while not has_ended(process):
                if time.monotonic() > until_s:
                    raise ValueError(f"it did not end within {WITHIN_S:g} s")
                threading.Event().wait(POLL_S)
        if process.returncode != 0:
            words = complaint.read_text(errors="replace").strip().splitlines()[-1:]
            raise ValueError("; ".join([f"it ended with code {process.returncode}", *words]))
        return said.read_text(errors="replace").strip()
