"""When a replica counts as ready: it accepts, it answers, it says so, or a command says so.

A check is a small object with `describe()` for people and `holds(within_s)`, which looks once and never raises.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from chaosctl.deploy.contract import Replica
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Ready

POLL_S = 0.02
_CONNECT_S = 0.25
_HTTP_S = 1.0


class Check(Protocol):
    """One way to find out."""

    def describe(self) -> str:
        """Return what has to happen: `port main (127.0.0.1:21200) accepts a connection`."""
        ...

    def holds(self, within_s: float) -> bool:
        """Look once, for at most `within_s`."""
        ...


class TcpCheck:
    """Ready when a port accepts a connection."""

    def __init__(self, port: str, address: str) -> None:
        self._port = port
        self._address = address

    def describe(self) -> str:
        """Say which port."""
        return f"port {self._port} ({self._address}) accepts a connection"

    def holds(self, within_s: float) -> bool:
        """Connect."""
        try:
            with socket.create_connection(_split(self._address), timeout=min(within_s, _CONNECT_S)):
                return True
        except OSError:
            return False


class HttpCheck:
    """Ready when GET answers 2xx."""

    def __init__(self, address: str, path: str) -> None:
        self._address = address
        self._path = path
        self._last = "no answer"

    def describe(self) -> str:
        """Say which URL, and what it answered last."""
        return f"GET http://{self._address}{self._path} answers 2xx (last: {self._last})"

    def holds(self, within_s: float) -> bool:
        """Ask."""
        host, port = _split(self._address)
        connection = http.client.HTTPConnection(host, port, timeout=min(within_s, _HTTP_S))
        try:
            connection.request("GET", self._path, headers={"User-Agent": "chaosctl"})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._last = str(error) or type(error).__name__
            return False
        finally:
            connection.close()
        self._last = f"{response.status} {response.reason}"
        return 200 <= response.status < 300


class LogCheck:
    """Ready when a line that was logged since this check was made matches. Follows the log when it is renamed."""

    def __init__(self, pattern: str, log_path: Path) -> None:
        self._pattern = re.compile(pattern)
        self._path = log_path
        self._rest = ""
        self._inode, self._offset = _inode_and_size(log_path)

    def describe(self) -> str:
        """Say which pattern, and the usual reason why a line is not seen."""
        return (
            f"a line of its output matches '{self._pattern.pattern}' "
            "(many programs hold their output back unless on a terminal: for Python, set PYTHONUNBUFFERED in env)"
        )

    def holds(self, within_s: float) -> bool:
        """Read on from where the last look ended."""
        *lines, self._rest = (self._rest + self._new_text()).split("\n")
        return any(self._pattern.search(line) for line in (*lines, self._rest))

    def _new_text(self) -> str:
        inode, _ = _inode_and_size(self._path)
        text = ""
        if inode != self._inode:
            if self._inode is not None:
                text = self._read(self._path.with_name(f"{self._path.name}.1"))
            self._inode, self._offset = inode, 0
        return text + self._read(self._path)

    def _read(self, path: Path) -> str:
        try:
            with path.open("rb") as log:
                log.seek(self._offset)
                data = log.read()
        except OSError:
            return ""
        self._offset += len(data)
        return data.decode(errors="replace")


class CommandCheck:
    """Ready when a command exits with 0."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._folder = folder
        self._last = "not run yet"

    def describe(self) -> str:
        """Say which command, and how it ended last."""
        return f"`{' '.join(self._argv)}` exits with 0 (last: {self._last})"

    def holds(self, within_s: float) -> bool:
        """Run it, and end it with all its children when it takes too long."""
        try:
            process = subprocess.Popen(
                self._argv,
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            self._last = error.strerror or str(error)
            return False
        try:
            self._last = f"code {process.wait(timeout=max(within_s, POLL_S))}"
        except subprocess.TimeoutExpired:
            self._last = f"still running after {within_s:.1f} s"
        finally:
            # Before it is reaped its group cannot be anybody else's; after, only if it left somebody behind in it.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode == 0


def check_of(ready: Ready, replica: Replica, command: Sequence[str], env: Mapping[str, str], folder: Path) -> Check:
    """Return the check that the experiment asks for. `command` is `ready.command` with its placeholders filled in.

    A log check sees only lines logged after this call. Raises NotReadyError for a port that the service does not have.
    """
    if ready.tcp is not None:
        return TcpCheck(ready.tcp, _address(replica, ready.tcp))
    if ready.http is not None:
        port, _, path = ready.http.partition("/")
        return HttpCheck(_address(replica, port), f"/{path}")
    if ready.log is not None:
        return LogCheck(ready.log, replica.log_path)
    return CommandCheck(command, env, folder)


def _address(replica: Replica, port: str) -> str:
    if port not in replica.ports:
        known = ", ".join(replica.ports) or "none"
        raise NotReadyError(f"service {replica.service} has no port '{port}' to be ready on; its ports are: {known}")
    return replica.ports[port]


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _inode_and_size(path: Path) -> tuple[int | None, int]:
    try:
        status = path.stat()
    except OSError:
        return None, 0
    return status.st_ino, status.st_size
