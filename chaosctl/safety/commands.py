"""Running a command that the operator gave: without a shell, within a bound, its output in a file.

Standard library only: the keeper heals with it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

_SAID_BYTES = 2048
_SAID_CHARS = 200


@dataclass(frozen=True)
class Ran:
    """How a command ended. `code` is its exit code, negative for a signal; None: it was ended after its bound, or never
    started. `text` is a sentence for people, with the last line of its output."""

    code: int | None
    text: str


def run_command(argv: Sequence[str], folder: str, log_path: str, env: Mapping[str, str], within_s: float) -> Ran:
    """Run it in `folder` and append its output to `log_path`. Never raises for what the system answers.

    What does not end in time is killed with the rest of its session. Its output goes straight to the file, so that a
    server which it leaves behind, as a service manager does, has somewhere to write to when we are gone.
    """
    shown, begin_s = shlex.join(argv), monotonic()
    with _opened(log_path) as log:
        start = os.fstat(log.fileno()).st_size
        try:
            process = subprocess.Popen(
                list(argv),
                cwd=folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Ran(None, f"`{shown}` cannot be started: {getattr(error, 'strerror', None) or error}")
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Ran(None, f"`{shown}` did not end within {within_s:g} s{_said(log_path, start)}")
    how = f"exited with {code}" if code >= 0 else f"was ended by signal {-code}"
    return Ran(code, f"`{shown}` {how} after {monotonic() - begin_s:.2f} s{_said(log_path, start)}")


def _opened(log_path: str) -> IO[bytes]:
    """Healing must not depend on there being room for a log."""
    try:
        return Path(log_path).open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _said(log_path: str, start: int) -> str:
    try:
        with Path(log_path).open("rb") as log:
            log.seek(max(start, os.fstat(log.fileno()).st_size - _SAID_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" and said: {last[:_SAID_CHARS]}" if last else ""
