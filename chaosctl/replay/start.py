"""How a replay process is started, apart from its command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Start:
    """What is changed about the start of a process: variables added to its environment, words before its command
    (a program that sets something and then becomes the command), and whether it starts in an empty folder."""

    env: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    elsewhere: bool = False

    def folder(self, usual: Path, fresh: Path) -> Path:
        """Return the working folder: `usual`, or a new one in `fresh`. Raises OSError."""
        if not self.elsewhere:
            return usual
        empty = fresh / "elsewhere"
        empty.mkdir(exist_ok=True)
        return empty


PLAIN = Start()
