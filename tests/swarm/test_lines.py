"""A connection of lines, and the three ways in which it fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from chaosctl.swarm.lines import Cut, Lines, Refused, Silent


@pytest.fixture
def pair() -> Iterator[tuple[Lines, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines = Lines("127.0.0.1", server.getsockname()[1], 1.0, "\r\n")
        other, _ = server.accept()
        with other:
            yield lines, other
        lines.close()


def soon() -> float:
    return time.monotonic() + 0.1


def test_lines_come_whole_and_without_their_ends(pair: tuple[Lines, socket.socket]) -> None:
    lines, other = pair
    lines.send("PING", 1.0)
    assert other.recv(100) == b"PING\r\n"
    other.sendall(b"one\r\ntw")
    assert lines.read(soon()) == "one"
    other.sendall(b"o\nthree\n")
    assert lines.read(time.monotonic() + 5) == "two"
    assert lines.read(time.monotonic() + 5) == "three"


def test_silence(pair: tuple[Lines, socket.socket]) -> None:
    lines, other = pair
    other.sendall(b"half a line")
    with pytest.raises(Silent):
        lines.read(soon())


def test_end_of_file_is_cut(pair: tuple[Lines, socket.socket]) -> None:
    lines, other = pair
    other.close()
    with pytest.raises(Cut):
        lines.read(time.monotonic() + 5)


def test_what_waits_is_taken_without_waiting_and_the_end_is_seen_after_it(pair: tuple[Lines, socket.socket]) -> None:
    lines, other = pair
    assert lines.waiting() == []
    other.sendall(b"a\nb\n")
    assert lines.waiting(5.0) == ["a", "b"]
    threading.Timer(0.05, lambda: (other.sendall(b"c\n"), other.close())).start()
    assert lines.waiting(5.0) == ["c"]
    with pytest.raises(Cut):
        lines.waiting(5.0)


def test_nobody_there_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Refused):
        Lines("127.0.0.1", port, 1.0, "\n")
