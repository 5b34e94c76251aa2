"""An engine that is none: it listens at a socket, answers what it was told to, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Things = dict[str, dict[str, Mapping[str, str]]]
"""What is there: by kind (`containers`, `networks`, `volumes`, `images`), by id, the labels."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    engine: FakeEngine


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer a question."""
        self._say()

    do_POST = do_DELETE = do_GET

    def _say(self) -> None:
        parts = urlsplit(self.path)
        status, body = self.server.engine.answer(self.command, parts.path, parse_qs(parts.query))
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        """Say who asks: at a socket of the file system nobody has a name."""
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@dataclass
class FakeEngine:
    """Holds things with labels. `stuck` cannot be removed; `says` are answers by method and path, before all else."""

    path: Path
    things: Things = field(default_factory=lambda: {"containers": {}, "networks": {}, "volumes": {}})
    stuck: set[str] = field(default_factory=set)
    says: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, query: Mapping[str, list[str]]) -> tuple[int, Any]:
        """Return the status and the body."""
        self.asked.append(f"{method} {path}")
        if (method, path) in self.says:
            return self.says[method, path]
        kind, _, name = path.strip("/").partition("/")
        if method == "DELETE":
            return self._remove(kind, name)
        wanted = {tuple(label.split("=", 1)) for label in json.loads(query["filters"][0])["label"]}
        found = [one for one, labels in self.things.get(kind, {}).items() if wanted <= labels.items()]
        if kind == "volumes":
            return 200, {"Volumes": [{"Name": one} for one in found]}
        return 200, [{"Id": one} for one in found]

    def _remove(self, kind: str, name: str) -> tuple[int, Any]:
        if name in self.stuck:
            return 500, {"message": f"{name} is stuck"}
        if kind == "networks" and self.things["containers"]:
            return 403, {"message": f"network {name} has active endpoints"}
        return (204, None) if self.things[kind].pop(name, None) is not None else (404, {"message": "no such thing"})


@contextmanager
def listening(engine: FakeEngine) -> Iterator[FakeEngine]:
    """Have it listen."""
    with _Server(str(engine.path), _Answer) as server:
        server.engine = engine
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield engine
        server.shutdown()


@contextmanager
def over_tcp(path: Path) -> Iterator[str]:
    """Lead a port of loopback to the engine at that socket; yield the address that this gives it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends: set[socket.socket] = set()
        threading.Thread(target=_lead, args=(listener, path, ends), daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        # Whoever waits in `accept` would go on to hold the port.
        listener.shutdown(socket.SHUT_RDWR)
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _lead(listener: socket.socket, path: Path, ends: set[socket.socket]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(path))
        ends |= {client, server}
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes, and its end: a half-closed connection stays half open."""
    with suppress(OSError):
        while data := one.recv(65_536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
