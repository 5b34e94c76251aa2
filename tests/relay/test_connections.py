"""How connections are carried, the same on both relays."""

from __future__ import annotations

import select
import socket
import threading

import pytest

from chaosctl.relay.contract import ProxySpec
from chaosctl.relay.toxiproxy import ToxiproxyRelay

from .conftest import Line, address, drain, is_cut, receive, reset

pytestmark = pytest.mark.e2e

LARGE = bytes(range(256)) * 16_384  # 4 MiB, more than all buffers on the way


def send_in_background(sock: socket.socket, data: bytes) -> threading.Thread:
    thread = threading.Thread(target=sock.sendall, args=(data,), daemon=True)
    thread.start()
    return thread


def test_bytes_pass_both_ways_unchanged(line: Line) -> None:
    client, server = line.open()
    threads = [send_in_background(client, LARGE), send_in_background(server, LARGE[::-1])]
    got: dict[str, bytes] = {}
    reader = threading.Thread(target=lambda: got.update(server=receive(server, len(LARGE))))
    reader.start()
    got["client"] = receive(client, len(LARGE))
    for thread in (*threads, reader):
        thread.join(10)
    assert got == {"client": LARGE[::-1], "server": LARGE}


def test_a_receiver_that_does_not_read_stops_the_sender(line: Line) -> None:
    client, server = line.open()
    client.setblocking(False)
    sent = 0
    while select.select([], [client], [], 0.3)[1]:
        sent += client.send(LARGE[:65536])
        assert sent < 64 << 20, "the relay takes without end"
    got = 0
    while got < sent:
        got += len(server.recv(65536))
    assert got == sent


def test_the_end_of_the_stream_passes_behind_the_data(line: Line) -> None:
    client, server = line.open()
    server.sendall(b"bye")
    server.close()
    assert drain(client) == b"bye"
    client, server = line.open()
    client.sendall(b"bye")
    client.close()
    assert drain(server) == b"bye"


def test_a_client_that_resets_ends_the_server_side(line: Line) -> None:
    client, server = line.open()
    client.sendall(b"x")
    receive(server, 1)
    reset(client)
    assert is_cut(server)


def test_many_connections_at_once(line: Line) -> None:
    pairs = [line.open() for _ in range(200)]
    for number, (client, _) in enumerate(pairs):
        client.sendall(number.to_bytes(2, "big"))
    for number, (_, server) in enumerate(pairs):
        assert receive(server, 2) == number.to_bytes(2, "big")
        server.sendall(number.to_bytes(2, "little"))
    for number, (client, _) in enumerate(pairs):
        assert receive(client, 2) == number.to_bytes(2, "little")


def test_a_dead_upstream_gives_a_connection_that_ends(relay: ToxiproxyRelay) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{probe.getsockname()[1]}"
        state = relay.create(ProxySpec("dead", "127.0.0.1:0", dead))  # bound, and not listening
        with socket.create_connection(address(state.listen), timeout=5) as client:
            assert is_cut(client)
    relay.delete("dead")


def test_an_upstream_may_be_a_name(line: Line) -> None:
    port = address(line.upstream)[1]
    state = line.relay.create(ProxySpec("named", "127.0.0.1:0", f"localhost:{port}"))
    with socket.create_connection(address(state.listen), timeout=5) as client:
        server, _ = line.listener.accept()
        client.sendall(b"x")
        assert receive(server, 1) == b"x"
        server.close()
    line.relay.delete("named")


def test_deleting_a_proxy_cuts_its_connections(line: Line) -> None:
    client, server = line.open()
    line.relay.delete(line.name)
    assert is_cut(client)
    assert is_cut(server)
