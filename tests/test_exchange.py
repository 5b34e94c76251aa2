"""One question over TCP: each thing that it can meet has its name."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from chaosctl.exchange import exchange, judge, open_and_wait_eof, question, split_address
from chaosctl.experiment.model import Hello

PING = Hello(send="PING\r\n", expect="+PONG")
GET = Hello(http="healthz")
Handler = Callable[[socket.socket], None]


@contextmanager
def listening(handle: Handler) -> Iterator[str]:
    """Serve each connection in a thread, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with connection:
                handle(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def says(*chunks: bytes) -> Handler:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        for chunk in chunks:
            connection.sendall(chunk)
            time.sleep(0.01)

    return handle


def stays_silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("handle", "hello", "outcome"),
    [
        (says(b"+PONG\r\n"), PING, "answered"),
        (says(b"+PO", b"NG\r\n"), PING, "answered"),
        (says(b"-LOADING\r\n"), PING, "wrong"),
        (says(), PING, "closed"),
        (says(b"+PO"), PING, "closed"),
        (resets, PING, "reset"),
        (stays_silent, PING, "silent"),
        (says(b"HTTP/1.1 200 OK\r\n"), GET, "answered"),
        (says(b"HTTP/1.0 ", b"302 Found\r\n\r\n"), GET, "answered"),
        (says(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), GET, "wrong"),
        (says(b"+PONG\r\n"), GET, "wrong"),
    ],
)
def test_outcome(handle: Handler, hello: Hello, outcome: str) -> None:
    with listening(handle) as address:
        met = exchange(address, hello, 0.3)
    assert met.outcome == outcome, met
    assert met.connected_ns is not None
    assert met.sent_ns <= met.connected_ns <= met.end_ns
    assert (met.first_byte_ns is None) == (met.bytes_received == 0)


def test_refused_has_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    met = exchange(f"127.0.0.1:{port}", PING, 1.0)
    assert (met.outcome, met.connected_ns, met.bytes_received) == ("refused", None, 0)


def test_a_name_that_is_not_known_is_refused() -> None:
    assert exchange("no-such-host.invalid:80", PING, 1.0).outcome == "refused"


def test_silence_is_bounded_in_time_even_when_bytes_drip() -> None:
    def drips(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"")
                connection.sendall(b"H")
                time.sleep(0.02)
        except OSError:
            pass

    with listening(drips) as address:
        met = exchange(address, Hello(http="/"), 0.3)
    assert met.outcome == "silent"
    assert 0.29 <= (met.end_ns - met.sent_ns) / 1e9 < 5


def test_repeat_reads_all_answers() -> None:
    def answers_each(connection: socket.socket) -> None:
        buffer = b""
        while data := connection.recv(65536):
            buffer += data
            asked, buffer = buffer.count(b"PING\r\n"), buffer.rpartition(b"\n")[2]
            connection.sendall(b"+PONG\r\n" * asked)

    with listening(answers_each) as address:
        met = exchange(address, PING, 5.0, repeat=500)
    assert (met.outcome, met.bytes_received) == ("answered", 500 * len(b"+PONG\r\n"))


def test_repeat_over_http_reads_to_the_end_of_file() -> None:
    with listening(says(b"HTTP/1.1 200 OK\r\n", b"x" * 1000)) as address:
        met = exchange(address, GET, 5.0, repeat=3)
    assert (met.outcome, met.bytes_received) == ("answered", 1017)


def test_only_the_last_http_request_closes() -> None:
    asked = question(GET, "h:1", repeat=3).decode()
    assert asked.count("GET /healthz HTTP/1.1\r\n") == 3
    assert asked.count("keep-alive") == 2
    assert asked.endswith("Connection: close\r\n\r\n")


def test_end_of_file_after_the_answer_is_timed() -> None:
    def closes_late(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"+PONG\r\n")
        assert connection.recv(1) == b""
        time.sleep(0.2)

    with listening(closes_late) as address:
        answered_ns, eof_ns = open_and_wait_eof(address, PING, 5.0)
    assert answered_ns is not None
    assert eof_ns is not None
    assert eof_ns - answered_ns >= 0.15e9


def test_no_end_of_file_is_none() -> None:
    held = threading.Event()

    def never_closes(connection: socket.socket) -> None:
        connection.sendall(b"+PONG\r\n")
        held.wait(5)

    with listening(never_closes) as address:
        answered_ns, eof_ns = open_and_wait_eof(address, PING, 0.3)
        held.set()
    assert answered_ns is not None
    assert eof_ns is None


def test_no_answer_and_no_end_of_file() -> None:
    with listening(says(b"-ERR\r\n")) as address:
        assert open_and_wait_eof(address, PING, 1.0) == (None, None)


@pytest.mark.parametrize("address", ["nowhere", "host:", "host:http"])
def test_a_malformed_address_says_how_it_is_written(address: str) -> None:
    with pytest.raises(ValueError, match="write it as host:port"):
        split_address(address)


def test_addresses() -> None:
    assert split_address("127.0.0.1:80") == ("127.0.0.1", 80)
    assert split_address("[::1]:80") == ("::1", 80)


def test_judging_needs_no_more_than_the_prefix() -> None:
    assert judge(PING, b"+PONG")[0] == "answered"
    assert judge(PING, b"")[0] == "more"
    assert judge(GET, b"HTTP/1.1 20")[0] == "more"
    assert judge(GET, b"x" * 2000)[0] == "wrong"
