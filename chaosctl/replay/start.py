"""How a replay process is started, apart from its command."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Start:
    """What is changed about the start of a process: variables added to its environment, words before its command
    (a program that sets something and then becomes the command), and whether it starts in another folder."""

    env: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    elsewhere: bool = False

    def folder(self, usual: Path, fresh: Path) -> Path:
        """Return the working folder: `usual`, or a new one in `fresh` that holds links to all that is in `usual`.

        So a command that names its files relative to its folder starts from elsewhere, too. Raises OSError.
        """
        if not self.elsewhere:
            return usual
        other = fresh / "elsewhere"
        other.mkdir()
        for entry in usual.absolute().iterdir():
            (other / entry.name).symlink_to(entry)
        return other


PLAIN = Start()


def sweep(pid: int) -> None:
    """Remove what libfaketime leaves in shared memory for a process that has ended: it does not do so itself."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        with suppress(OSError):
            (SHARED_MEMORY / name).unlink()
