"""What the tests of faults act on: a small server that answers PING, a relay in front of it, a real child process."""

from __future__ import annotations

import os
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chaosctl.experiment.model import Hello
from chaosctl.experiment.units import WRITTEN
from chaosctl.faults.contract import Applied, Fault, Place, Proof
from chaosctl.relay.contract import ProxySpec, Relay, Stream, Toxic
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy
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


@dataclass(frozen=True)
class RelayProxy:
    """A proxy of a relay, as a fault may change it."""

    name: str
    listen: str
    upstream: str
    api_url: str
    relay: Relay

    def add_toxic(self, name: str, type: str, stream: Stream, attributes: Mapping[str, int]) -> None:
        self.relay.add_toxic(self.name, Toxic(name, type, stream, attributes))

    def set_enabled(self, enabled: bool) -> None:
        self.relay.set_enabled(self.name, enabled)


@pytest.fixture(scope="session", params=["embedded", pytest.param("toxiproxy", marks=pytest.mark.needs("toxiproxy"))])
def relay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Each of both relays in turn."""
    log_path, env = tmp_path_factory.mktemp("relay") / "relay.log", dict(os.environ)
    if request.param == "embedded":
        running = start_embedded(seed=7, log_path=log_path, env=env)
    else:
        binary = find_toxiproxy()
        assert binary is not None
        running = start_toxiproxy(binary, log_path=log_path, env=env)
    yield running
    running.close()


@dataclass(frozen=True)
class Bench:
    """A relay before the ping server, and places made of it."""

    relay: Relay
    server: PingServer

    def proxy(self, name: str, upstream: str) -> RelayProxy:
        state = self.relay.create(ProxySpec(name, "127.0.0.1:0", upstream))
        return RelayProxy(name, state.listen, upstream, state.api_url, self.relay)

    @contextmanager
    def place(self, proxies: int = 1, hello: Hello | None = PING, upstream: str | None = None) -> Iterator[Place]:
        made = tuple(self.proxy(f"test-{n}", upstream or self.server.address) for n in range(proxies))
        try:
            yield Place("bots-world", proxies=made, hello=hello)
        finally:
            for proxy in made:
                self.relay.delete(proxy.name)


@pytest.fixture
def bench(relay: Relay, server: PingServer) -> Bench:
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
