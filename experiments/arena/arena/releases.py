"""Which release of a service this is. Release 1 is as it should be; release 2 was put out in a hurry.

Players are told which one answers them: `* VERSION world 2`, when they are welcomed and when it has changed.
"""

from __future__ import annotations

import argparse
import base64
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from arena import defects
from arena.protocol import Asked

RELEASES = (1, 2)
_PLAIN = b"{"  # what a record of release 1 begins with


class Log(Protocol):
    """The input log, as the world writes it."""

    def append(self, data: bytes) -> None:
        """Write all of it. Raises OSError."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def version_line(service: str, number: int) -> str:
    """Return what tells a client the release that answers it."""
    return f"* VERSION {service} {number}"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--release`, whose default is `ARENA_RELEASE` in the environment."""
    default = os.environ.get("ARENA_RELEASE") or "1"
    parser.add_argument("--release", type=int, default=default, choices=RELEASES, help="which one it is: 2 has faults")


@dataclass(frozen=True)
class WorldRelease:
    """What is different in a release of the world. `packs`: it writes its log in a form that release 1 cannot read."""

    number: int = 1
    packs: bool = False

    @classmethod
    def of(cls, number: int, planted: frozenset[str]) -> WorldRelease:
        """Return release `number` with its planted defects."""
        return cls(number, number > 1 and defects.UNREADABLE_RELEASE in planted)

    def heard(self, asked: Asked) -> Asked:
        """Return what a line asks for: in release 2 somebody forgot the chat."""
        if self.number > 1 and asked.given is not None and asked.given[0] == "chat":
            return Asked(error="ERR unknown command CHAT")
        return asked

    def welcomed(self, reply: str) -> tuple[str, ...]:
        """Return the lines that answer: a welcome also tells the release."""
        return (reply, version_line("world", self.number)) if reply.startswith("WELCOME ") else (reply,)

    def log(self, plain: Log) -> Log:
        """Return the log that this release writes, through the one of release 1."""
        return PackedLog(plain) if self.packs else plain

    def take_over(self, folder: Path) -> None:
        """Bring a folder into the form that recovery reads. Release 1 takes it as it is."""
        path = folder / "input.log"
        if self.packs and path.exists():
            lines = path.read_bytes().splitlines(keepends=True)
            unpacked = path.with_suffix(".unpacked")
            unpacked.write_bytes(b"".join(one if one.startswith(_PLAIN) else _unpacked(one) for one in lines))
            unpacked.replace(path)


class PackedLog:
    """The planted defect `unreadable-release`: each record packed, to save space."""

    def __init__(self, plain: Log) -> None:
        self._plain = plain

    def append(self, data: bytes) -> None:
        """Pack and write it. Raises OSError."""
        self._plain.append(base64.b64encode(zlib.compress(data)) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._plain.close()


def _unpacked(record: bytes) -> bytes:
    """Return the record in the form of release 1; one that is torn stays as it is, for recovery to cut off."""
    try:
        return zlib.decompress(base64.b64decode(record))
    except (ValueError, zlib.error):
        return record
