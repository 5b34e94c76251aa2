"""A relay of each kind, and plain sockets on both ends of a link through it."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from chaosctl.relay.contract import ProxySpec
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy
from chaosctl.relay.toxiproxy import ToxiproxyRelay

WITHIN_S = 5.0
_names = itertools.count(1)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToxiproxyRelay]:
    relay = start_embedded(seed=7, log_path=tmp_path_factory.mktemp("relay") / "embedded.log", env=os.environ)
    yield relay
    alive = relay.alive()
    relay.close()
    assert alive, "the embedded relay died during the tests"


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToxiproxyRelay]:
    binary = find_toxiproxy()
    assert binary is not None
    relay = start_toxiproxy(binary, log_path=tmp_path_factory.mktemp("relay") / "toxiproxy.log", env=os.environ)
    yield relay
    relay.close()


BOTH = ["embedded", pytest.param("toxiproxy", marks=pytest.mark.needs("toxiproxy"))]


@pytest.fixture(params=BOTH)
def relay(request: pytest.FixtureRequest) -> ToxiproxyRelay:
    found: ToxiproxyRelay = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(relay: ToxiproxyRelay, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send one request to the relay's API; a body that is bytes goes as it is."""
    connection = http.client.HTTPConnection(urlsplit(relay.info.api_url).netloc, timeout=WITHIN_S)
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, raw, headers)
    response = connection.getresponse()
    answer = Answer(response.status, response.getheader("Content-Type", ""), response.read().decode())
    connection.close()
    return answer


class Line:
    """A proxy with a server behind it, on which the test itself accepts."""

    def __init__(self, relay: ToxiproxyRelay) -> None:
        self.relay = relay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.settimeout(WITHIN_S)
        self.upstream = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.state = relay.create(ProxySpec(f"line-{next(_names)}", "127.0.0.1:0", self.upstream))
        self.opened: list[socket.socket] = [self.listener]

    @property
    def name(self) -> str:
        return self.state.name

    def dial(self) -> socket.socket:
        client = socket.create_connection(address(self.state.listen), timeout=WITHIN_S)
        self.opened.append(client)
        return client

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Return the client's and the server's end of a new connection."""
        client = self.dial()
        server, _ = self.listener.accept()
        server.settimeout(WITHIN_S)
        self.opened.append(server)
        return client, server

    def toxic(self, kind: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> str:
        body = {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        answer = ask(self.relay, "POST", f"/proxies/{self.name}/toxics", body)
        assert answer.status == 200, answer
        return str(answer.json["name"])

    def counters(self) -> dict[str, int]:
        found: dict[str, int] = ask(self.relay, "GET", f"/proxies/{self.name}").json["counters"]
        return found

    def close(self) -> None:
        for sock in self.opened:
            sock.close()
        self.relay.delete(self.name)


@pytest.fixture
def line(relay: ToxiproxyRelay) -> Iterator[Line]:
    made = Line(relay)
    yield made
    made.close()


@pytest.fixture
def embedded_line(embedded: ToxiproxyRelay) -> Iterator[Line]:
    made = Line(embedded)
    yield made
    made.close()


def address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host, int(port)


def receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes; fewer only when the stream ends."""
    got = bytearray()
    while len(got) < size and (piece := sock.recv(min(size - len(got), 65536))):
        got += piece
    return bytes(got)


def drain(sock: socket.socket) -> bytes:
    """Read until the stream ends."""
    got = bytearray()
    while piece := sock.recv(65536):
        got += piece
    return bytes(got)


def is_silent(sock: socket.socket, for_s: float) -> bool:
    """Return whether nothing, the end included, arrives for that long."""
    before = sock.gettimeout()
    sock.settimeout(for_s)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(before)
    return False


def is_cut(sock: socket.socket) -> bool:
    """Return whether the stream ends without a byte, by an end or by a reset."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def seconds_of(action: Callable[[], object]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def wait_for(condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
