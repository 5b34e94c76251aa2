"""As much of HTTP/1.1 as the API needs, on the same loop as everything else."""

from __future__ import annotations

import http
import select
import socket
from dataclasses import dataclass

from chaosctl.relay.embedded.api import TEXT, Answer, Api
from chaosctl.relay.embedded.loop import Loop

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Head:
    """The head of a request."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case

    @property
    def keeps_alive(self) -> bool:
        """Return whether the client wants to send more requests on this connection."""
        return self.headers.get("connection", "").lower() != "close"


class BadRequest(Exception):
    """A request that is not understood; the connection is closed after `answer`."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = Answer(status, why.encode() + b"\n", TEXT)


def parse_head(raw: bytes) -> Head:
    """Parse the request line and the headers. Raises BadRequest."""
    lines = raw.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(400, "a header without a colon")
        headers[name.strip().lower()] = value.strip()
    if words[2] == "HTTP/1.0":
        headers["connection"] = "close"
    return Head(words[0], words[1], headers)


def body_size(head: Head) -> int:
    """Return how many bytes of body follow. Raises BadRequest."""
    if "transfer-encoding" in head.headers:
        raise BadRequest(411, "a body needs a Content-Length")
    text = head.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadRequest(400, "Content-Length is not a number")
    if int(text) > MAX_BODY_BYTES:
        raise BadRequest(413, f"a body may have {MAX_BODY_BYTES} bytes")
    return int(text)


def format_answer(answer: Answer, keeps_alive: bool) -> bytes:
    """Return the answer as bytes to send."""
    head = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}"]
    if answer.status != 204:
        head += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(answer.body)}"]
    if not keeps_alive:
        head.append("Connection: close")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + answer.body


class ApiServer:
    """Listens for the API's clients."""

    def __init__(self, loop: Loop, api: Api, listener: socket.socket) -> None:
        self._loop = loop
        self._api = api
        self._listener = listener
        listener.setblocking(False)
        loop.watch(listener.fileno(), select.EPOLLIN, self._on_acceptable)

    def _on_acceptable(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        _Conversation(self._loop, self._api, sock)


class _Conversation:
    """One client: reads requests, answers each, in order."""

    def __init__(self, loop: Loop, api: Api, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = loop
        self._api = api
        self._sock = sock
        self._received = bytearray()
        self._unsent = bytearray()
        self._closing = False
        loop.watch(sock.fileno(), select.EPOLLIN, self._on_event)

    def _on_event(self, events: int) -> None:
        if events & select.EPOLLOUT or self._unsent:
            self._send()
            return
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.close_soon(self._sock)
            return
        self._received += data
        self._answer_all()
        self._send()

    def _answer_all(self) -> None:
        try:
            while not self._closing and self._answer_next():
                pass
        except BadRequest as error:
            self._unsent += format_answer(error.answer, keeps_alive=False)
            self._closing = True

    def _answer_next(self) -> bool:
        """Answer the first request if it is complete, and return whether it was."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                raise BadRequest(431, f"a head may have {MAX_HEAD_BYTES} bytes")
            return False
        head = parse_head(bytes(self._received[:end]))
        stop = end + 4 + body_size(head)
        if len(self._received) < stop:
            return False
        body = bytes(self._received[end + 4 : stop])
        del self._received[:stop]
        answer = self._api.answer(head.method, head.path, head.headers.get("user-agent", ""), body)
        self._unsent += format_answer(answer, head.keeps_alive)
        self._closing = not head.keeps_alive
        return True

    def _send(self) -> None:
        try:
            sent = self._sock.send(self._unsent) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._loop.close_soon(self._sock)
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.watch(self._sock.fileno(), select.EPOLLOUT, self._on_event)
        elif self._closing:
            self._loop.close_soon(self._sock)
        else:
            self._loop.watch(self._sock.fileno(), select.EPOLLIN, self._on_event)
