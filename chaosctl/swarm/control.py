"""The pipe to the orchestrator: its messages in, ours out, and the end of everything when it closes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any, Protocol

import gevent
import gevent.monkey
import gevent.queue

ORPHANED = 3
STDIN, STDOUT, STDERR = 0, 1, 2


class Emit(Protocol):
    """Sends one message to the orchestrator."""

    def __call__(self, message: Mapping[str, Any], /) -> None:
        """Send it."""
        ...


class Control:
    """Reads standard input in a real thread: a bot that spins in its greenlet must not keep an orphan alive."""

    def __init__(self) -> None:
        self.messages: Any = gevent.queue.Queue()
        self._arrived: list[dict[str, Any]] = []
        self._wake = gevent.get_hub().loop.async_()
        self._wake.start(self._hand_over)
        # What bots print must not get between our lines.
        self._out = os.dup(STDOUT)
        os.dup2(STDERR, STDOUT)
        gevent.monkey.get_original("_thread", "start_new_thread")(self._read, ())

    def emit(self, message: Mapping[str, Any]) -> None:
        """Send one message to the orchestrator."""
        data = json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):  # it was killed: the end of standard input is about to end us too
            while data:
                data = data[os.write(self._out, data) :]

    def _read(self) -> None:
        partial = b""
        while data := os.read(STDIN, 1 << 20):
            *lines, partial = (partial + data).split(b"\n")
            for line in lines:
                self._arrived.append(json.loads(line))
            self._wake.send()
        os._exit(ORPHANED)

    def _hand_over(self) -> None:
        while self._arrived:
            self.messages.put(self._arrived.pop(0))
