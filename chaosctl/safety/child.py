"""A child process that is told what to do by JSON lines on its standard input and answers by JSON lines.

Its standard input is also its life line: end of file means that we are gone, however we died, and the child ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaosctl.errors import NotReadyError

Message = Mapping[str, Any]


class Child:
    """One such process, in a session of its own, its error output in `log_path`.

    `on_message` is called from a reader thread for every message of the child; `on_lost(why)` from the same thread,
    once, when the child ended without having been told to.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        log_path: Path,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._log_path = log_path
        self._on_message = on_message
        self._on_lost = on_lost
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._sending = threading.Lock()
        self._stopping = False

    def start(self, first: Message) -> None:
        """Start the process and send it its first message. Raises NotReadyError when it cannot be started."""
        with self._sending:  # whatever another thread has to tell it comes after the first message
            try:
                with self._log_path.open("ab") as log:
                    self._process = subprocess.Popen(
                        self._argv,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env=self._env,
                        start_new_session=True,
                    )
            except OSError as error:
                raise NotReadyError(f"cannot start {self._argv[0]}: {error.strerror or error}") from error
            self._reader = threading.Thread(target=self._read, args=(self._process,), name="child reader", daemon=True)
            self._reader.start()
            self._write(first)

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return None if self._process is None else self._process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def send(self, message: Message) -> bool:
        """Send one message. Return False when the child is gone."""
        with self._sending:
            return self._write(message)

    def _write(self, message: Message) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # a broken pipe, or one that `stop` closed
            return False
        return True

    def stop(self, last: Message | None = None, within_s: float = 5.0) -> None:
        """End it: send `last`, close its input, wait; then TERM and KILL to its whole session. Idempotent."""
        self._stopping = True
        if self._process is None:
            return
        if last is not None and self.send(last):
            self._ended_within(within_s)
        with self._sending, contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if not self._ended_within(within_s):
            self._signal_session(signal.SIGTERM)
            self._ended_within(1.0)
        # Also when it ended by itself: what it started may be left in its session.
        self._signal_session(signal.SIGKILL)
        self._process.wait()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(timeout=5.0)

    def _ended_within(self, within_s: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _signal_session(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                message = _parsed(line)
                if message is not None:
                    self._on_message(message)
        code = process.wait()
        if not self._stopping:
            self._on_lost(f"process {process.pid} {how_it_ended(code)}")


def how_it_ended(code: int) -> str:
    """Say in words what a return code of `subprocess` means: `exited with code 3`, `was ended by SIGKILL`."""
    if code >= 0:
        return f"exited with code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _parsed(line: bytes) -> Message | None:
    """Return the message of a line; None for the torn last line of a child that was killed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
