"""One question and its answer over TCP, blocking, with bounds: what probes and fault proofs look at the world with.

Times are `time.monotonic_ns()`. A new connection for each exchange, so that nothing is remembered between two.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Literal

from chaosctl.experiment.model import Hello

Outcome = Literal["answered", "wrong", "refused", "reset", "closed", "silent"]
Judgement = Literal["answered", "wrong", "more"]

CHUNK_BYTES = 65_536
# A status line that is longer than this is not HTTP.
STATUS_LINE_BYTES = 1024


@dataclass(frozen=True)
class Exchange:
    """What one question met.

    `answered`, `wrong` (another answer than expected), `refused` (no connection), `reset`, `closed` (end of file before
    an answer), `silent` (nothing in time). `connected_ns` and `first_byte_ns` are None where it did not come that far;
    `bytes_received` counts everything read; `detail` is for people.
    """

    sent_ns: int
    connected_ns: int | None
    first_byte_ns: int | None
    end_ns: int
    outcome: Outcome
    bytes_received: int
    detail: str


def exchange(address: str, hello: Hello, timeout_s: float, *, repeat: int = 1) -> Exchange:
    """Ask `address` (`host:port`) once and return what happened, after `timeout_s` at the latest.

    With `repeat` the question is sent so many times in one go, and the answers are read until as many bytes came as
    `repeat` answers have (as long as the first one, up to its line end), or until end of file: this measures
    bandwidth. Nothing of the network raises; a malformed address raises ValueError.
    """
    talk = _Talk(address, hello, timeout_s, repeat)
    try:
        outcome, detail = talk.run()
    except TimeoutError:
        outcome, detail = "silent", f"no answer within {timeout_s:g} s"
    except OSError as error:
        outcome, detail = talk.failed(error)
    finally:
        talk.close()
    return Exchange(
        talk.sent_ns, talk.connected_ns, talk.first_byte_ns, time.monotonic_ns(), outcome, talk.received, detail
    )


def open_and_wait_eof(address: str, hello: Hello, timeout_s: float) -> tuple[int | None, int | None]:
    """Ask, get the answer, close our sending half, wait for the end of file: what a slow close delays.

    Return when the answer was there and when the end of file came, each None if it did not within `timeout_s`.
    """
    talk = _Talk(address, hello, timeout_s, 1)
    answered_ns = None
    try:
        if talk.run()[0] != "answered":
            return None, None
        answered_ns = time.monotonic_ns()
        talk.shut_sending()
        while talk.receive():
            pass
    except OSError:
        return answered_ns, None
    finally:
        talk.close()
    return answered_ns, time.monotonic_ns()


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[::1]:port`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"'{address}' is not an address; write it as host:port")
    return host.strip("[]"), int(port)


def judge(hello: Hello, received: bytes) -> tuple[Judgement, str]:
    """Say whether the bytes received so far are the right answer, the wrong one, or too few to tell."""
    if hello.http is not None:
        return _judge_http(received)
    expect = (hello.expect or "").encode()
    if received.startswith(expect):
        return "answered", ""
    if expect.startswith(received):
        return "more", ""
    return "wrong", f"got {received[:60]!r}, expected {expect[:60]!r}"


def _judge_http(received: bytes) -> tuple[Judgement, str]:
    line, end, _ = received.partition(b"\n")
    if not end and len(line) < STATUS_LINE_BYTES:
        return "more", ""
    words = line.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return "wrong", f"got {line[:60]!r}, not an HTTP status line"
    return ("answered", "") if 200 <= int(words[1]) < 400 else ("wrong", f"HTTP status {int(words[1])}")


def question(hello: Hello, address: str, repeat: int = 1) -> bytes:
    """Return the bytes to send; with HTTP, only the last of several requests asks to close the connection."""
    if hello.http is None:
        return (hello.send or "").encode() * repeat
    head = f"GET /{hello.http.lstrip('/')} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: chaosctl\r\nConnection: "
    return f"{head}keep-alive\r\n\r\n".encode() * (repeat - 1) + f"{head}close\r\n\r\n".encode()


class _Talk:
    """One connection while it is asked; remembers how far it came."""

    def __init__(self, address: str, hello: Hello, timeout_s: float, repeat: int) -> None:
        self.host, self.port = split_address(address)
        self.hello = hello
        self.repeat = repeat
        self.question = question(hello, address, repeat)
        self.sent_ns = time.monotonic_ns()
        self.deadline_ns = self.sent_ns + round(timeout_s * 1e9)
        self.connected_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.received = 0
        self._socket: socket.socket | None = None

    def run(self) -> tuple[Outcome, str]:
        """Connect, ask, read the answer. Raises OSError and TimeoutError."""
        self._socket = socket.create_connection((self.host, self.port), timeout=self._left_s())
        self.connected_ns = time.monotonic_ns()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(self._left_s())
        self._socket.sendall(self.question)
        head = b""
        while True:
            data = self.receive()
            if not data:
                return "closed", f"end of file after {self.received} bytes"
            head += data
            verdict, detail = judge(self.hello, head)
            if verdict == "answered":
                self._read_the_rest(head)
            if verdict != "more":
                return verdict, detail

    def _read_the_rest(self, head: bytes) -> None:
        if self.repeat == 1:
            return
        # HTTP answers differ in length (dates, headers): there, the end of file is the end.
        all_bytes = (head.find(b"\n") + 1 or len(head)) * self.repeat if self.hello.http is None else None
        while (all_bytes is None or self.received < all_bytes) and self.receive():
            pass

    def receive(self) -> bytes:
        """Return what comes next, empty at the end of file. Raises OSError and TimeoutError."""
        assert self._socket is not None
        self._socket.settimeout(self._left_s())
        data = self._socket.recv(CHUNK_BYTES)
        if data and self.first_byte_ns is None:
            self.first_byte_ns = time.monotonic_ns()
        self.received += len(data)
        return data

    def shut_sending(self) -> None:
        """Tell the other side that nothing more is asked."""
        assert self._socket is not None
        self._socket.shutdown(socket.SHUT_WR)

    def failed(self, error: OSError) -> tuple[Outcome, str]:
        """Name an error: before the connection stood it is a refusal, later a reset. A reset may come so early that it
        ends the connecting itself; it is still a reset, since somebody had accepted."""
        reason = error.strerror or str(error)
        was_refused = self.connected_ns is None and not isinstance(error, ConnectionResetError)
        return ("refused" if was_refused else "reset"), reason

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()

    def _left_s(self) -> float:
        left_ns = self.deadline_ns - time.monotonic_ns()
        if left_ns <= 0:
            raise TimeoutError
        return left_ns / 1e9
