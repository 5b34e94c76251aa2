"""What a replay prints, watched while it comes: one `{"tick": n, "digest": "..."}` a line, ticks ascending."""

from __future__ import annotations

import json

SHOWN = 80
LONGEST_BYTES = 16 * 2**20
FORM = '{"tick": n, "digest": "..."}'


class TickLines:
    """Counts the ticks in a stream of bytes and remembers the first thing that is wrong with it."""

    def __init__(self) -> None:
        self.ticks = 0
        self.error: str | None = None
        self.first: int | None = None
        self.last: int | None = None
        self.whole_bytes = 0
        self._lines = 0
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take what came next, cut anywhere."""
        *whole, self._tail = (self._tail + data).split(b"\n")
        for line in whole:
            self.whole_bytes += len(line) + 1
            self._lines += 1
            if line.strip():
                self._take(line)
        if len(self._tail) > LONGEST_BYTES:
            self._complain(f"line {self._lines + 1} is longer than {LONGEST_BYTES >> 20} MiB")
            self._tail = b""

    def end(self) -> None:
        """Take the end of the stream."""
        if self._tail.strip():
            self._complain(f"its last line is cut: {_shown(self._tail)}")
        elif not self.ticks:
            self._complain(f"it printed no tick; a replay prints {FORM} for each")

    def _take(self, line: bytes) -> None:
        tick = _tick_of(line)
        if tick is None:
            self._complain(f"line {self._lines} is not {FORM}: {_shown(line)}")
            return
        self.ticks += 1
        if self.last is not None and tick <= self.last:
            self._complain(f"line {self._lines}: tick {tick} comes after tick {self.last}; print them in order, once")
        self.first = tick if self.first is None else self.first
        self.last = tick

    def _complain(self, error: str) -> None:
        self.error = self.error or error


def _tick_of(line: bytes) -> int | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or type(said.get("tick")) is not int or "digest" not in said:
        return None
    return int(said["tick"])


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
