"""The command line: one thin file a command; every expected failure is one sentence and its exit code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line. Exits with a code of `errors.ExitCode`."""
    signal.signal(signal.SIGINT, _on_interrupt)
    from chaosctl.cli.app import app
    from chaosctl.errors import ChaosctlError, ExitCode

    try:
        app()
    except ChaosctlError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`chaosctl plan | head`); Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.PASS)
    except Exception as error:
        if os.environ.get("CHAOSCTL_DEBUG"):
            raise
        _say(
            f"internal error: {type(error).__name__}: {error}; this is a defect of chaosctl; "
            "set CHAOSCTL_DEBUG=1 to see where, and please report it"
        )
        sys.exit(ExitCode.INTERNAL)


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    # Left to itself, typer would make this the exit code of a failed verdict.
    from chaosctl.errors import ExitCode

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a further one must not turn the code into a death by signal
    _say("interrupted")
    sys.exit(ExitCode.INTERRUPTED)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
