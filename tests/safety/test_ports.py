"""Ports that stay free for a service that comes back."""

from __future__ import annotations

import socket

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import ports
from chaosctl.safety.ports import LOOPBACK, is_taken, reserve_ports


def test_they_differ_are_free_and_lie_outside_the_clients_range() -> None:
    low, high = ports._ephemeral_range()
    found = reserve_ports(50).numbers
    assert len(set(found)) == 50
    assert not any(low <= port <= high for port in found)
    assert not any(is_taken(LOOPBACK, port) for port in found)


def test_none_are_none() -> None:
    assert reserve_ports(0).numbers == ()


def test_a_listener_takes_its_port() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert is_taken(LOOPBACK, port)
    assert not is_taken(LOOPBACK, port)


def test_taken_ports_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        taken = listener.getsockname()[1]
        reserved = reserve_ports(1)
        (spare,) = reserved.numbers
        reserved.release()
        monkeypatch.setattr(ports, "_candidates", lambda: iter((taken, spare, taken)))
        assert reserve_ports(1).numbers == (spare,)
        with pytest.raises(NotReadyError, match=r"2 free ports are needed on 127.0.0.1, and only 1 are left"):
            reserve_ports(2)


def test_where_the_range_leaves_nothing_the_kernel_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_ephemeral_range", lambda: (1024, 65_535))
    assert len(set(reserve_ports(5).numbers)) == 5


def test_another_run_gets_other_ports_also_while_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = reserve_ports(1)
    (port,) = ours.numbers
    monkeypatch.setattr(ports, "_candidates", lambda: iter((port,)))
    with pytest.raises(NotReadyError):
        reserve_ports(1)
    ours.release()
    ours.release()
    assert reserve_ports(1).numbers == (port,)
