"""The error tree and the exit codes: every way a command can end.

Every expected failure is a `ChaosctlError`; the command line prints its message as one sentence and exits with
its code. An exception of a dependency never leaves the module that calls the dependency: it is mapped here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns; part of the public contract."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INVALID_EXPERIMENT = 3
    NOT_READY = 4
    STOPPED = 5
    INCONCLUSIVE = 6
    INTERNAL = 7
    NOT_CLEAN = 8
    INTERRUPTED = 130
    TERMINATED = 143


class ChaosctlError(Exception):
    """An expected failure. `str(error)` is one sentence: what is wrong and what to do about it."""

    exit_code: ExitCode = ExitCode.INTERNAL


class UsageError(ChaosctlError):
    """The command line asks for something that cannot be done."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in a file: `file:line:column: what is wrong; what to write instead`. Line and column from 1."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class ExperimentError(ChaosctlError):
    """The experiment is invalid. Carries every problem found, in the order of the file."""

    exit_code = ExitCode.INVALID_EXPERIMENT

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotReadyError(ChaosctlError):
    """The environment or the deployment is not ready: a port in use, a service that does not start, no relay."""

    exit_code = ExitCode.NOT_READY


class RelayError(NotReadyError):
    """A relay did not do as it was told: not there, frozen, or it answered with an error."""


class RecordingError(ChaosctlError):
    """A run bundle cannot be read or written: not a bundle, a full disk, no right to write."""

    exit_code = ExitCode.NOT_READY


class StoppedError(ChaosctlError):
    """A stop condition ended the run."""

    exit_code = ExitCode.STOPPED


class CleanupError(ChaosctlError):
    """Something could not be cleaned up. The message says exactly what is left and how to remove it."""

    exit_code = ExitCode.NOT_CLEAN
