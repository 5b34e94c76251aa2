"""Each toxic's effect, in both streams, the same on both relays."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from .conftest import Line, ask, drain, is_cut, is_silent, receive, seconds_of, wait_for

pytestmark = pytest.mark.e2e

Ends = tuple[socket.socket, socket.socket]
streams = pytest.mark.parametrize("stream", ["upstream", "downstream"])


def sender_and_receiver(line: Line, stream: str) -> Ends:
    client, server = line.open()
    return (client, server) if stream == "upstream" else (server, client)


def remove(line: Line, toxic: str) -> None:
    assert ask(line.relay, "DELETE", f"/proxies/{line.name}/toxics/{toxic}").status == 204


def update(line: Line, toxic: str, **attributes: int) -> None:
    answer = ask(line.relay, "PATCH", f"/proxies/{line.name}/toxics/{toxic}", {"attributes": attributes})
    assert answer.status == 200


def trip_s(sender: socket.socket, receiver: socket.socket) -> float:
    """How long one byte takes."""

    def go() -> None:
        sender.sendall(b"x")
        assert receive(receiver, 1) == b"x"

    return seconds_of(go)


@streams
def test_latency_delays_its_stream_only(line: Line, stream: str) -> None:
    sender, receiver = sender_and_receiver(line, stream)
    assert trip_s(sender, receiver) < 0.1
    name = line.toxic("latency", stream, latency=150)
    assert trip_s(sender, receiver) >= 0.149
    assert trip_s(receiver, sender) < 0.1
    remove(line, name)
    assert trip_s(sender, receiver) < 0.1


def test_latency_delays_but_does_not_slow(line: Line) -> None:
    line.toxic("latency", "upstream", latency=150)
    client, server = line.open()
    taken_s = seconds_of(lambda: [trip_s(client, server), client.sendall(b"y" * 200_000), receive(server, 200_000)])
    assert 0.298 <= taken_s < 1


def test_jitter_stays_in_its_bounds_and_keeps_the_order(line: Line) -> None:
    line.toxic("latency", "upstream", latency=40, jitter=30)
    client, server = line.open()
    times_s = [trip_s(client, server) for _ in range(8)]
    assert min(times_s) >= 0.009
    assert len({round(each_s, 3) for each_s in times_s}) > 2
    sent = b"".join(i.to_bytes(2, "big") for i in range(500))
    for i in range(0, len(sent), 2):
        client.sendall(sent[i : i + 2])
    assert receive(server, len(sent)) == sent


def test_latency_can_be_updated(line: Line) -> None:
    name = line.toxic("latency", latency=5)
    client, server = line.open()
    update(line, name, latency=120)
    assert trip_s(server, client) >= 0.119


@streams
def test_bandwidth_limits_the_rate(line: Line, stream: str) -> None:
    line.toxic("bandwidth", stream, rate=100)
    sender, receiver = sender_and_receiver(line, stream)
    data = bytes(range(256)) * 120  # 30 KB at 100 KB/s
    sender.sendall(data)
    got: list[bytes] = []
    assert 0.25 <= seconds_of(lambda: got.append(receive(receiver, len(data)))) < 2
    assert got == [data]


def test_bandwidth_of_zero_stalls_without_loss(line: Line) -> None:
    name = line.toxic("bandwidth", "upstream", rate=0)
    client, server = line.open()
    client.sendall(b"held")
    assert is_silent(server, 0.2)
    remove(line, name)
    assert receive(server, 4) == b"held"
    client.sendall(b"on")
    assert receive(server, 2) == b"on"


@streams
def test_slow_close_delays_the_end(line: Line, stream: str) -> None:
    line.toxic("slow_close", stream, delay=200)
    sender, receiver = sender_and_receiver(line, stream)
    sender.sendall(b"last")
    assert receive(receiver, 4) == b"last"
    sender.close()
    assert seconds_of(lambda: drain(receiver)) >= 0.19


@streams
def test_timeout_drops_data_and_closes(line: Line, stream: str) -> None:
    sender, receiver = sender_and_receiver(line, stream)
    line.toxic("timeout", stream, timeout=200)
    sender.sendall(b"lost")
    assert is_silent(receiver, 0.1)
    assert is_cut(receiver)
    assert is_cut(sender)


def test_timeout_of_zero_drops_until_it_is_removed(line: Line) -> None:
    client, server = line.open()
    name = line.toxic("timeout", "upstream", timeout=0)
    client.sendall(b"lost")
    assert is_silent(server, 0.2)
    server.sendall(b"other way")
    assert receive(client, 9) == b"other way"
    remove(line, name)
    assert is_cut(server)
    assert is_cut(client)
    client, server = line.open()
    assert trip_s(client, server) < 1


@streams
def test_reset_peer_resets_new_connections(line: Line, stream: str) -> None:
    line.toxic("reset_peer", stream, timeout=0)
    with pytest.raises(ConnectionError):  # a reset; or a broken pipe, when it has come already
        _exchange_until_it_ends(line)


def _exchange_until_it_ends(line: Line) -> None:
    client, server = line.open()
    client.settimeout(0.05)
    for _ in range(100):
        client.sendall(b"x")
        with contextlib.suppress(ConnectionError):
            server.sendall(b"x")
        with contextlib.suppress(TimeoutError):
            assert client.recv(1) != b"", "closed with FIN instead of RST"


def test_reset_peer_waits_for_its_timeout(line: Line) -> None:
    line.toxic("reset_peer", "upstream", timeout=200)
    client, _ = line.open()
    client.sendall(b"x")

    def until_reset() -> None:
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    assert seconds_of(until_reset) >= 0.18


@streams
def test_slicer_keeps_the_bytes(line: Line, stream: str) -> None:
    line.toxic("slicer", stream, average_size=50, size_variation=20, delay=500)
    sender, receiver = sender_and_receiver(line, stream)
    data = bytes(range(250)) * 8
    sender.sendall(data)
    pieces = [receiver.recv(65536)]
    while sum(map(len, pieces)) < len(data):
        pieces.append(receiver.recv(65536))
    assert b"".join(pieces) == data
    assert len(pieces) >= 10
    # A busy receiver finds two at once now and then.
    assert sum(len(piece) <= 70 for piece in pieces) > len(pieces) / 2


@streams
def test_limit_data_closes_behind_the_last_byte(line: Line, stream: str) -> None:
    line.toxic("limit_data", stream, bytes=100)
    sender, receiver = sender_and_receiver(line, stream)
    sender.sendall(b"a" * 60)
    assert receive(receiver, 60) == b"a" * 60
    sender.sendall(b"b" * 60)
    assert drain(receiver) == b"b" * 40
    assert is_cut(sender)


def test_limit_data_remembers_over_an_update(line: Line) -> None:
    name = line.toxic("limit_data", "upstream", bytes=100)
    client, server = line.open()
    client.sendall(b"a" * 60)
    receive(server, 60)
    update(line, name, bytes=70)
    client.sendall(b"b" * 60)
    assert drain(server) == b"b" * 10


def test_toxics_of_one_stream_work_one_after_another(line: Line) -> None:
    line.toxic("latency", "upstream", latency=100)
    line.toxic("limit_data", "upstream", bytes=10)
    line.toxic("slicer", "upstream", average_size=2, delay=100)
    client, server = line.open()
    client.sendall(b"0123456789abc")
    got: list[bytes] = []
    assert seconds_of(lambda: got.append(drain(server))) >= 0.099
    assert got == [b"0123456789"]


@pytest.mark.parametrize("toxicity", [0.0, 1.0])
def test_toxicity_spares_or_strikes(line: Line, toxicity: float) -> None:
    line.toxic("timeout", "upstream", toxicity, timeout=0)
    client, server = line.open()
    client.sendall(b"x")
    assert is_silent(server, 0.1) == (toxicity == 1.0)


def test_toxicity_strikes_a_share_of_connections(line: Line) -> None:
    line.toxic("timeout", "upstream", 0.5, timeout=0)
    silent = 0
    for _ in range(24):
        client, server = line.open()
        client.sendall(b"x")
        silent += is_silent(server, 0.03)
    assert 2 <= silent <= 22


@pytest.mark.parametrize("take_away", [remove, lambda line, name: ask(line.relay, "POST", "/reset")])
def test_what_was_held_goes_on_when_the_toxic_is_taken_away(
    line: Line, take_away: Callable[[Line, str], object]
) -> None:
    name = line.toxic("latency", "upstream", latency=60_000)
    client, server = line.open()
    client.sendall(b"held")
    assert is_silent(server, 0.1)
    take_away(line, name)
    assert receive(server, 4) == b"held"
    wait_for(lambda: trip_s(client, server) < 1)
