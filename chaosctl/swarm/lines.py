"""A TCP connection that speaks lines, and the three ways in which the world can fail a bot."""

from __future__ import annotations

import socket
import time
from collections import deque

CHUNK_BYTES = 65_536


class Refused(Exception):
    """Nothing was sent: there was no connection to be had."""


class Cut(Exception):
    """The connection ended after the question had been sent: nobody knows what became of it."""


class Silent(Exception):
    """No answer came in time: nobody knows what became of the question."""


class Lines:
    """One connection. Raises Refused when it cannot be made in `timeout_s`."""

    def __init__(self, host: str, port: int, timeout_s: float, line_end: str) -> None:
        self._end = line_end.encode()
        self._lines: deque[str] = deque()
        self._partial = b""
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise Refused(_reason(error)) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, line: str, timeout_s: float) -> None:
        """Send a line. Raises Cut, Silent."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(line.encode() + self._end)
        except TimeoutError as error:
            raise Silent("could not send") from error
        except OSError as error:
            raise Cut(_reason(error)) from error

    def read(self, deadline_s: float) -> str:
        """Return the next line, without its end, by `deadline_s` (`time.monotonic()`). Raises Cut, Silent."""
        while not self._lines:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Silent("no answer in time")
            self._receive(left_s)
        return self._lines.popleft()

    def waiting(self, within_s: float = 0.0) -> list[str]:
        """Return the lines that are there, waiting for the first one at most `within_s`. Raises Cut at the end of file.

        Lines before the end of file are returned first, and the next call raises.
        """
        try:
            if not self._lines:
                self._receive(within_s)
            while True:
                self._receive(0.0)
        except Silent:
            pass
        except Cut:
            if not self._lines:
                raise
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except (TimeoutError, BlockingIOError) as error:
            raise Silent("no answer in time") from error
        except OSError as error:
            raise Cut(_reason(error)) from error
        if not data:
            raise Cut("end of file")
        # Any protocol of lines can be read by its last byte; a carriage return before it belongs to the end.
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._lines.extend(line.decode(errors="replace").rstrip("\r") for line in whole)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    return error.strerror or str(error) or type(error).__name__
