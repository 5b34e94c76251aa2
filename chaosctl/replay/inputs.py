"""Input logs as data: read and written through the target's own commands, since the format of the log is its own.

Where those are not offered, a log whose lines are `{"tick": n, "inputs": [...]}` and nothing else is data already.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from chaosctl.errors import ChaosctlError, RecordingError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Replay
from chaosctl.experiment.units import format_duration

FORM = '{"tick": n, "inputs": [...]}'
SHOWN = 80
WORDS_SHOWN = 300


class NotEditableError(Exception):
    """The log cannot be edited; the message says why."""


@dataclass(frozen=True)
class Tick:
    """The inputs that one tick consumed, in order; each is a JSON value."""

    tick: int
    inputs: tuple[Any, ...]


@dataclass(frozen=True)
class InputLogs:
    """Reads and writes logs of one target, whose commands run in `folder` with the environment `env`."""

    replay: Replay
    folder: Path
    env: Mapping[str, str]

    def read(self, log: Path) -> tuple[Tick, ...]:
        """Return what is in `log`. Raises NotEditableError."""
        if self.replay.inputs is not None:
            lines = self._run(self.replay.inputs.decode, {"input_log": str(log.absolute())}, b"")
            return parse(lines, "what `inputs.decode` printed")
        try:
            return parse(log.read_bytes(), log.name)
        except OSError as error:
            raise NotEditableError(f"{log} cannot be read: {error.strerror}") from error
        except NotEditableError as error:
            why = f"the target offers no `replay.inputs`, and its log is not of such lines itself: {error}"
            raise NotEditableError(why) from None

    def write(self, ticks: Sequence[Tick], to: Path) -> None:
        """Write a log of `ticks` in the target's format. Raises NotEditableError, RecordingError."""
        try:
            if self.replay.inputs is None:
                to.write_bytes(lines_of(ticks))
                return
            to.unlink(missing_ok=True)
        except OSError as error:
            raise RecordingError(f"cannot write {to}: {error.strerror}; make room, or the folder writable") from error
        self._run(self.replay.inputs.encode, {"output": str(to.absolute())}, lines_of(ticks))
        if not to.is_file():
            raise NotEditableError("`inputs.encode` wrote no file to ${output}")

    def _run(self, command: Sequence[str], values: Mapping[str, str], given: bytes) -> bytes:
        try:
            done = subprocess.run(
                expand(command, values),
                cwd=self.folder,
                env=dict(self.env),
                input=given,
                capture_output=True,
                timeout=self.replay.within_ns / 1e9,
                check=False,
            )
        except ChaosctlError as error:
            raise NotEditableError(str(error)) from error
        except OSError as error:
            raise NotEditableError(f"cannot start {command[0]} in {self.folder}: {error.strerror}") from error
        except subprocess.TimeoutExpired:
            within = format_duration(self.replay.within_ns)
            raise NotEditableError(f"{' '.join(command)} did not end within {within}") from None
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip()[-WORDS_SHOWN:]
            raise NotEditableError(f"{' '.join(command)} ended with code {done.returncode}: {words}")
        return done.stdout


def parse(lines: bytes, where: str) -> tuple[Tick, ...]:
    """Return the ticks of lines of `FORM`, ascending. Raises NotEditableError for any other line."""
    ticks: list[Tick] = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        tick = _tick(line)
        if tick is None:
            shown = repr(line.decode(errors="replace")[:SHOWN])
            raise NotEditableError(f"line {number} of {where} is not {FORM}: {shown}")
        if ticks and tick.tick <= ticks[-1].tick:
            raise NotEditableError(f"line {number} of {where}: tick {tick.tick} comes after tick {ticks[-1].tick}")
        ticks.append(tick)
    if not ticks:
        raise NotEditableError(f"{where} has no tick")
    return tuple(ticks)


def _tick(line: bytes) -> Tick | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    # Any other key, a checksum say, would have to be made anew, and only the target knows how.
    if not isinstance(said, dict) or said.keys() != {"tick", "inputs"}:
        return None
    if type(said["tick"]) is not int or not isinstance(said["inputs"], list):
        return None
    return Tick(said["tick"], tuple(said["inputs"]))


def lines_of(ticks: Sequence[Tick]) -> bytes:
    """Return them as lines of `FORM`."""
    compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    return "".join(f'{{"tick":{one.tick},"inputs":{compact(one.inputs)}}}\n' for one in ticks).encode()


def renumbered(ticks: Sequence[Tick], first: int) -> tuple[Tick, ...]:
    """Return them numbered from `first` on, without gaps."""
    return tuple(Tick(number, one.inputs) for number, one in enumerate(ticks, first))


def without_gaps(ticks: Sequence[Tick]) -> bool:
    """Return whether every tick has its line. In a log with gaps, a tick that is left out is one gap more."""
    return all(after.tick == before.tick + 1 for before, after in pairwise(ticks))


def numbered_like(original: Sequence[Tick], kept: Sequence[Tick]) -> tuple[Tick, ...]:
    """Return `kept`, ticks of the log `original`, numbered as that log does it: with gaps, or in a row from its first.

    A fresh copy expects the first number in any case.
    """
    return renumbered(kept, original[0].tick) if without_gaps(original) else tuple(kept)
