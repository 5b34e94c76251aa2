"""A canary: a tiny process, started exactly as a perturbed replay is, that says what it sees of the factor.

A factor counts as tested only where its canary sees the same twice under the perturbation, and something else without.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaosctl.recording.factors import Factor
from chaosctl.replay.perturb import Perturbation
from chaosctl.replay.start import PLAIN, Start, sweep

WITHIN_S = 20.0
PROGRAM = "import ctypes, locale, os, time; print({expression})"


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
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Sighting(factor, False, f"its canary did not run: {error}")
    for first, second in seen:
        if first != second:
            return Sighting(factor, False, f"its canary sees {first} at one time and {second} at another")
        if first == plain:
            return Sighting(factor, False, f"its canary sees {plain} with it and without it")
    text = " and ".join(first for first, _ in seen)
    return Sighting(factor, True, f"a process started so sees {text}, without it {plain}")


def _ask(expression: str, start: Start, folder: Path, env: Mapping[str, str]) -> str:
    """Return what one canary prints. Raises ValueError when it fails, OSError, SubprocessError."""
    with tempfile.TemporaryDirectory(prefix="chaosctl-canary-") as fresh:
        process = subprocess.Popen(
            # -S and -P: it starts quickly, and imports nothing that lies in the folder.
            [*start.prefix, sys.executable, "-S", "-P", "-c", PROGRAM.format(expression=expression)],
            cwd=start.folder(folder, Path(fresh)),
            env={**env, **start.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                said, complaint = process.communicate(timeout=WITHIN_S)
            finally:
                process.kill()
        sweep(process.pid)
    if process.returncode != 0:
        words = complaint.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError("; ".join([f"it ended with code {process.returncode}", *words]))
    return said.decode(errors="replace").strip()
