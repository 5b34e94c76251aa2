"""A relay server's process: started in a session of its own, ended with TERM and then KILL."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosctl.errors import RelayError

TERM_WITHIN_S = 2.0
KILL_WITHIN_S = 5.0


class RelayProcess:
    """Owns the process. Its standard input is a pipe from us: a server that reads it ends when we do."""

    def __init__(self, command: Sequence[str], *, log_path: Path, env: Mapping[str, str], reads_stdout: bool) -> None:
        """Start it; its output is appended to `log_path`, only its errors when `reads_stdout`. Raises RelayError."""
        self._log_path = log_path
        try:
            with log_path.open("ab") as log:
                self.popen = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if reads_stdout else log,
                    stderr=log,
                    env=dict(env),
                    start_new_session=True,
                )
        except OSError as error:
            raise RelayError(f"The relay {command[0]} cannot be started: {error}.") from error

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self.popen.pid

    def alive(self) -> bool:
        """Return whether it runs."""
        return self.popen.poll() is None

    def last_words(self) -> str:
        """Return the end of its log, for an error message."""
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return " | ".join(lines[-3:]) or "it wrote nothing"

    def end(self) -> None:
        """End it and its group: TERM, then KILL. Raises RelayError when even that does not help in time."""
        for stop_signal, within_s in ((signal.SIGTERM, TERM_WITHIN_S), (signal.SIGKILL, KILL_WITHIN_S)):
            if not self.alive():
                break
            os.killpg(self.pid, stop_signal)
            try:
                self.popen.wait(within_s)
            except subprocess.TimeoutExpired:
                continue
        else:
            if self.alive():
                raise RelayError(f"The relay's process {self.pid} does not end; kill it by hand.")
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()
