"""The input log and the digest file: JSON lines, appended with one `write` each.

A line of the input log is `{"tick":7,"inputs":[...],"crc":"1a2b3c4d"}`; `crc` is the CRC-32 of what stands before it.
Tick 0 carries the configuration. Every tick has its line, also an empty one.

What a `write` has taken over is in the page cache: it outlives the process (SIGKILL), not the machine (power loss).
That is the promise of this target; a deployment that needs the other one adds an `fsync` a tick.
"""

from __future__ import annotations

import json
import os
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arena import defects
from arena.state import Config, Input
from arena.table import canonical

LATE_LINES = 20
BUFFER_BYTES = 16 << 10
_CRC_BYTES = len(b',"crc":"00000000"}')


class CorruptLogError(ValueError):
    """A log has a bad record with good ones behind it. The message names the file and the offset."""


@dataclass(frozen=True)
class Record:
    """The inputs of one tick."""

    tick: int
    inputs: list[Input]


def encode(tick: int, inputs: Sequence[Any]) -> bytes:
    """Return a tick's line."""
    body = canonical({"tick": tick, "inputs": inputs})[:-1]
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


def encode_config(config: Config) -> bytes:
    """Return the first line of a log."""
    return encode(0, [["config", asdict(config)]])


def decode(line: bytes) -> Record:
    """Return the record of a line without its newline. Raises ValueError where it is damaged."""
    body, crc = line[:-_CRC_BYTES], line[-_CRC_BYTES:]
    if crc != b',"crc":"%08x"}' % zlib.crc32(body):
        raise ValueError("its checksum is wrong")
    row = json.loads(body + b"}")
    return Record(row["tick"], row["inputs"])


class LogReader:
    """Reads a log in order. Afterwards `good_bytes` is where the last whole record ends, and `torn_bytes` how much of
    an unfinished one stands behind it (a record without its newline was never acknowledged)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.good_bytes = 0
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[Record]:
        """Yield every whole record. Raises CorruptLogError."""
        self.good_bytes = self.torn_bytes = expected = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    self.torn_bytes = len(line)
                    return
                record = self._record(line, expected)
                self.good_bytes += len(line)
                expected += 1
                yield record

    def _record(self, line: bytes, expected: int) -> Record:
        try:
            record = decode(line[:-1])
        except ValueError as error:
            raise CorruptLogError(f"{self.path}: the record at byte {self.good_bytes} is damaged: {error}") from error
        if record.tick != expected:
            what = f"tick {record.tick} stands where tick {expected} belongs"
            raise CorruptLogError(f"{self.path}: the record at byte {self.good_bytes} is damaged: {what}")
        return record


def config_of(record: Record) -> Config:
    """Return the configuration in the record of tick 0. Raises ValueError where it is none."""
    try:
        ((kind, fields),) = record.inputs
        if kind != "config":
            raise ValueError("the log does not begin with a configuration")
        return Config(**fields)
    except TypeError as error:
        raise ValueError("the log begins with an unknown configuration") from error


class LineFile:
    """An append-only file. `append` returns when the kernel has the bytes."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, data: bytes) -> None:
        """Write all of it. Raises OSError (a full disk), possibly after a part: a torn record."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LateLineFile(LineFile):
    """The planted defect `ack-before-log`: the last 20 lines, a second of ticks, stay in this process."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._held: deque[bytes] = deque()

    def append(self, data: bytes) -> None:
        """Keep it, and write what was kept longest."""
        self._held.append(data)
        if len(self._held) > LATE_LINES:
            super().append(self._held.popleft())

    def close(self) -> None:
        """Write what was kept and close the file."""
        super().append(b"".join(self._held))
        super().close()


class UnflushedLineFile(LineFile):
    """The planted defect `no-flush`: lines stay in a buffer of this process until it is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._buffer = os.fdopen(self._fd, "ab", buffering=BUFFER_BYTES)

    def append(self, data: bytes) -> None:
        """Hand it to the buffer."""
        self._buffer.write(data)

    def close(self) -> None:
        """Write what is in the buffer and close the file."""
        self._buffer.close()


def input_log(path: Path, planted: frozenset[str]) -> LineFile:
    """Open the input log, as the planted defects have it."""
    if defects.ACK_BEFORE_LOG in planted:
        return LateLineFile(path)
    if defects.NO_FLUSH in planted:
        return UnflushedLineFile(path)
    return LineFile(path)


def digest_line(tick: int, digest: str, parts: dict[str, str], state: Any = None) -> bytes:
    """Return a line of digests.jsonl."""
    row: dict[str, Any] = {"tick": tick, "digest": digest, "parts": parts}
    return canonical(row if state is None else {**row, "state": state}) + b"\n"


def read_digests(path: Path, last_tick: int) -> tuple[dict[int, str], int]:
    """Return the digests by tick up to `last_tick`, and the bytes they take; what is torn or later is not in it."""
    digests: dict[int, str] = {}
    good_bytes = 0
    if path.exists():
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                row = json.loads(line)
                tick, digest = row["tick"], row["digest"]
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n") or tick != len(digests) or tick > last_tick:
                break
            digests[tick] = digest
            good_bytes += len(line)
    return digests, good_bytes
