"""As what a replica runs: the command that starts it, and what starts, signals and freezes it; one a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from chaosctl.deploy.contract import Replica
from chaosctl.safety.container import Container
from chaosctl.safety.keeper_client import Spawned
from chaosctl.safety.undo import Undo

LOG_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Command:
    """What starts the replica: the words, the environment and the folder; the name of the version that this starts
    (None for the one that the target declares), and the variables that are in the environment for it alone.
    `image`: the id of a container's image; `image_name`: its name, where it is not the target's own."""

    argv: tuple[str, ...]
    env: dict[str, str]
    folder: Path
    version: str | None = None
    added: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    image_name: str = ""


@dataclass(frozen=True)
class Version:
    """What is asked for of a replica: the version's name, its words and its image (None: the target's own), and what is
    added to the environment."""

    name: str | None = None
    run: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None


CommandOf = Callable[[Version], Command]
"""Completes the command of a version. Raises ChaosctlError for a placeholder without a value, or an image that is not
there."""


class Launcher(Protocol):
    """As what a replica runs: a process of this machine, or a container. One a driver."""

    def start(self, replica: Replica, command: Command) -> Spawned:
        """Start it, its output appended to its log. Raises NotReadyError with what the system said."""
        ...

    def send(self, replica: Replica, process: Spawned, name: str) -> bool:
        """Send a signal to its main process. Return False when that has ended; raises NotReadyError."""
        ...

    def runs(self, replica: Replica, process: Spawned) -> bool:
        """Say whether that very main process runs."""
        ...

    def clear_away(self, process: Spawned) -> None:
        """End what an ended main process left behind."""
        ...

    def alive(self, process: Spawned) -> tuple[int, ...]:
        """Return the ids of the processes that are left of this start."""
        ...

    def container(self, replica: Replica) -> Container | None:
        """Return its container; None for a process, and before its first start."""
        ...

    def freeze(self, replica: Replica, process: Spawned) -> None:
        """Stop it from running until it is thawed. Raises NotReadyError."""
        ...

    def thaw(self, replica: Replica, process: Spawned) -> None:
        """Let it go on; one that is not frozen does not mind."""
        ...

    def thawing(self, replica: Replica, process: Spawned) -> tuple[Undo, ...]:
        """Return what thaws it, as data."""
        ...

    def frozen(self, replica: Replica, process: Spawned) -> bool:
        """Say whether it is frozen now, as the kernel or the engine sees it."""
        ...
