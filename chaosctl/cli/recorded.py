"""The experiment that a recorded run was made with, as its command line changed it."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from chaosctl.cli.arguments import load
from chaosctl.errors import ExperimentError, UsageError

if TYPE_CHECKING:
    from chaosctl.experiment.loader import Loaded
    from chaosctl.recording.reader import Recording


def overrides_of(recording: Recording) -> list[str]:
    """Return what `--set` changed when the run was made."""
    return option_of(recording, "--set")


def option_of(recording: Recording, name: str) -> list[str]:
    """Return every value that the run was given for an option (`--relay-image`)."""
    words = shlex.split(str(recording.run.get("command", "")))
    apart = [after for word, after in pairwise(words) if word == name]
    return apart + [word.removeprefix(f"{name}=") for word in words if word.startswith(f"{name}=")]


def experiment_of(recording: Recording) -> Loaded:
    """Load the experiment that the run was made with. Raises UsageError where it is not what it was."""
    file = Path(str(recording.run.get("file", "")))
    if not file.is_file():
        raise UsageError(f"{file}: the run's experiment is not there; go to the folder in which the run was started")
    try:
        loaded = load(file, overrides_of(recording))
    except ExperimentError as error:
        raise UsageError(f"{file}: is no longer the experiment of this run; bring it back as it was: {error}") from None
    if loaded.fingerprint != recording.plan.fingerprint:
        raise UsageError(
            f"{file}: means something else than when the run was made (fingerprint {loaded.fingerprint}, then "
            f"{recording.plan.fingerprint}); bring the file and its environment variables back, or run it again"
        )
    return loaded
