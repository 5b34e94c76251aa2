"""Healing a blackhole whose connections have died meanwhile must not freeze the relay's API."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.relay.contract import ProxySpec, Toxic
from chaosctl.relay.server import find_toxiproxy, start_toxiproxy
from chaosctl.safety.undo import play

DEAD = 4
LINES = 8
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@contextmanager
def ticking_server(said: threading.Semaphore) -> Iterator[str]:
    """A server that sends a few lines apart from each other to every connection, and then counts it in `said`."""

    def serve(peer: socket.socket) -> None:
        with peer:
            for _ in range(LINES):
                peer.sendall(b"tick\n")
                time.sleep(0.02)  # apart, so that the relay holds several chunks
            said.release()
            over.wait(30)

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.e2e
@pytest.mark.needs("toxiproxy")
def test_a_blackhole_is_healed_at_once_although_its_connections_have_died(tmp_path: Path) -> None:
    binary = find_toxiproxy()
    assert binary is not None
    fault = faults()["partition"]
    params = fault.kind.params.model_validate({"mode": "blackhole"})
    relay = start_toxiproxy(binary, log_path=tmp_path / "relay.log", env=os.environ)
    try:
        said = threading.Semaphore(0)
        with ticking_server(said) as upstream:
            state = relay.create(ProxySpec("p", "127.0.0.1:0", upstream))
            place = Place("a-link", (_Proxy(state.name, state.listen, upstream, state.api_url, relay),))
            undo = fault.prepare("f1", place, params)
            fault.inject("f1", place, params, lambda: 0)
            host, port = state.listen.rsplit(":", 1)
            for _ in range(DEAD):
                with socket.create_connection((host, int(port))) as client:
                    client.sendall(b"hello\n")
                    assert said.acquire(timeout=10)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            # A change of its rate, while it cuts a held chunk by that, is now and then the end of the whole server.
            assert [action.body for action in undo if action.method == "PATCH"] == 2 * [{"toxicity": 0}]
            played = [play(action, 2.0) for action in undo]
            assert [one.text for one in played if not one.done] == []
            assert relay.proxy("p").toxics == ()
    finally:
        relay.close()


class _Proxy:
    def __init__(self, name: str, listen: str, upstream: str, api_url: str, relay: object) -> None:
        self.name, self.listen, self.upstream, self.api_url, self._relay = name, listen, upstream, api_url, relay

    def add_toxic(self, name: str, type: str, stream: str, attributes: dict[str, int]) -> None:
        self._relay.add_toxic(self.name, Toxic(name, type, stream, attributes))

    def set_enabled(self, enabled: bool) -> None:
        self._relay.set_enabled(self.name, enabled)
