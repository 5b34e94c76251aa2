"""What the tests of faults act on: a small server that answers PING, a relay in front of it, a real child process."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import WRITTEN
from chaosctl.faults.contract import Applied, Fault, Place, Proof
from chaosctl.safety.undo import play

NOT_APPLIED = Applied(0, 0, ())
PING = Hello(send="PING\n", expect="+PONG")


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            if line == b"PING\n":
                self.wfile.write(b"+PONG\r\n")


class PingServer(socketserver.ThreadingTCPServer):
    """Answers each PING, closes when its client does."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that resets its connection is what these tests are about."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[PingServer]:
    with PingServer(("127.0.0.1", 0), _Answer) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@dataclass
class HttpProxy:
    """A proxy control that speaks the relay's API and nothing else."""

    name: str
    listen: str
    upstream: str
    api_url: str

    def add_toxic(self, name: str, type: str, stream: str, attributes: Mapping[str, int]) -> None:
        toxic = {"name": name, "type": type, "stream": stream, "attributes": dict(attributes)}
        call(self.api_url, "POST", f"/proxies/{self.name}/toxics", toxic)

    def set_enabled(self, enabled: bool) -> None:
        call(self.api_url, "PATCH", f"/proxies/{self.name}", {"enabled": enabled})

    def state(self) -> Any:
        return call(self.api_url, "GET", f"/proxies/{self.name}")


def call(url: str, method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        data = response.read()
        assert response.status < 300, (method, path, response.status, data)
        return json.loads(data) if data else None
    finally:
        connection.close()


def _start_embedded() -> tuple[subprocess.Popen[bytes], str]:
    argv = [sys.executable, "-m", "chaosctl.relay.embedded", "--api", "127.0.0.1:0", "--seed", "7"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["api"]


def _start_toxiproxy() -> tuple[subprocess.Popen[bytes], str]:
    binary = shutil.which(os.environ.get("CHAOSCTL_TOXIPROXY", "")) or shutil.which("toxiproxy-server")
    assert binary is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = [binary, "-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, f"http://127.0.0.1:{port}"
        time.sleep(0.01)
    raise AssertionError("toxiproxy-server does not answer")


@pytest.fixture(scope="session", params=["embedded", pytest.param("toxiproxy", marks=pytest.mark.needs("toxiproxy"))])
def relay(request: pytest.FixtureRequest) -> Iterator[str]:
    """The API of a relay, each of both in turn."""
    process, url = _start_embedded() if request.param == "embedded" else _start_toxiproxy()
    yield url
    process.kill()
    process.communicate()


@dataclass
class Bench:
    """A relay before the ping server, and a fault put on it and taken off again as the runner does."""

    relay: str
    server: PingServer

    def proxy(self, name: str) -> HttpProxy:
        asked = {"name": name, "listen": "127.0.0.1:0", "upstream": self.server.address}
        made = call(self.relay, "POST", "/proxies", asked)
        return HttpProxy(name, made["listen"], made["upstream"], f"{self.relay}/proxies/{name}")

    @contextmanager
    def place(self, proxies: int = 1, hello: Hello | None = PING) -> Iterator[Place]:
        made = tuple(self.proxy(f"test-{n}") for n in range(proxies))
        try:
            yield Place("bots-world", proxies=made, hello=hello)
        finally:
            for proxy in made:
                call(self.relay, "DELETE", f"/proxies/{proxy.name}")


@pytest.fixture
def bench(relay: str, server: PingServer) -> Bench:
    return Bench(relay, server)


def params_of(fault: Fault, written: Mapping[str, Any]) -> Any:
    """Validate what a timeline item says."""
    return fault.kind.params.model_validate(dict(written), context=WRITTEN)


def inject(fault: Fault, place: Place, written: Mapping[str, Any]) -> Applied:
    return fault.inject("f1", place, params_of(fault, written), time.monotonic_ns)


def prove(fault: Fault, place: Place, written: Mapping[str, Any], applied: Applied = NOT_APPLIED) -> Proof:
    return fault.prove("f1", place, params_of(fault, written), applied)


def prove_healed(fault: Fault, place: Place, written: Mapping[str, Any]) -> Proof:
    return fault.prove_healed("f1", place, params_of(fault, written))


def heal(fault: Fault, place: Place, written: Mapping[str, Any]) -> None:
    """Play the undo from what `prepare` says, as the runner and the keeper do."""
    params = params_of(fault, written)
    for action in fault.prepare("f1", place, params):
        played = play(action, 5.0)
        assert played.done, played.text
    fault.restore("f1", place, params)
