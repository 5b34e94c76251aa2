"""When a world may say what it has decided: at once where it is alone, otherwise when its standby has it too."""

from __future__ import annotations

from typing import Protocol


class Gate(Protocol):
    """Stands between a world and those who hear it."""

    @property
    def epoch(self) -> tuple[int, ...]:
        """Return the epoch to put on what the ledger is asked for; empty where nobody else could lead."""
        ...

    def logged(self) -> None:
        """Note that a tick is in the input log."""
        ...

    def answerable(self, tick: int) -> int:
        """Return up to which tick may be answered, when the world is at `tick`."""
        ...


class Open:
    """The gate of a world without a standby: what is in its own log may be told."""

    epoch: tuple[int, ...] = ()

    def logged(self) -> None:
        """Do nothing."""

    def answerable(self, tick: int) -> int:
        """Return the tick itself."""
        return tick
