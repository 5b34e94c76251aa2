"""Every fault on links, on both relays: its effect is seen when it is there, and only then."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults

from .conftest import Bench, heal, inject, prove, prove_healed

CASES: list[tuple[str, dict[str, Any]]] = [
    ("latency", {"latency": "40ms", "jitter": "10ms"}),
    ("latency", {"latency": "20ms", "direction": "both"}),
    ("bandwidth", {"rate": "8KB/s"}),
    ("bandwidth", {"rate": "4KB/s", "direction": "up"}),
    ("partition", {"direction": "up"}),
    ("partition", {"mode": "refuse"}),
    ("partition", {"mode": "reset"}),
    ("slow_close", {"delay": "120ms"}),
    ("slicer", {"average": "4B", "variation": "2B", "delay": "10ms"}),
    ("data_limit", {"size": "50B"}),
    ("data_limit", {"size": "3B", "direction": "up"}),
    ("data_limit", {"size": "2KiB", "direction": "both"}),
]
NOWHERE = "127.0.0.1:1"  # nothing listens there
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("name", "written"), CASES, ids=str)
def test_an_effect_is_proved_while_it_is_there_and_its_absence_after(bench: Bench, name: str, written: Any) -> None:
    fault = faults()[name]
    with bench.place() as place:
        absent = prove(fault, place, written)
        assert not absent.proved, absent.text
        applied = inject(fault, place, written)
        assert applied.called_ns <= applied.returned_ns
        assert applied.targets == ("test-0",)
        began_s = time.monotonic()
        seen = prove(fault, place, written, applied)
        assert seen.proved, seen.text
        still = prove_healed(fault, place, written)
        assert not still.proved, still.text
        # 2 s each by contract; the rest is for a busy machine.
        assert time.monotonic() - began_s < 6
        heal(fault, place, written)
        heal(fault, place, written)
        healed = prove_healed(fault, place, written)
        assert healed.proved, healed.text
        state = bench.relay.proxy("test-0")
        assert (state.toxics, state.enabled) == ((), True)


@contextmanager
def session(place: Place) -> Iterator[socket.socket]:
    """A connection through the relay that has been answered once: what a player holds."""
    host, _, port = place.proxies[0].listen.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        connection.sendall(b"PING\n")
        assert read(connection, 7) == b"+PONG\r\n"
        yield connection


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data


def test_a_blackhole_holds_bytes_back_and_gives_them_out_when_it_heals(bench: Bench) -> None:
    fault = faults()["partition"]
    with bench.place() as place, session(place) as held:
        inject(fault, place, {})
        held.sendall(b"PING\nPING\n")
        held.settimeout(0.3)
        with pytest.raises(TimeoutError):
            held.recv(1)
        heal(fault, place, {})
        held.settimeout(5)
        assert read(held, 14) == b"+PONG\r\n+PONG\r\n"


@pytest.mark.parametrize("mode", ["refuse", "reset"])
def test_a_cut_ends_sessions_that_are_idle(bench: Bench, mode: str) -> None:
    fault = faults()["partition"]
    with bench.place() as place, session(place) as held:
        inject(fault, place, {"mode": mode})
        with suppress(ConnectionResetError):
            assert held.recv(1) == b""
        heal(fault, place, {"mode": mode})


def test_what_is_refused_needs_no_question(bench: Bench) -> None:
    fault, written = faults()["partition"], {"mode": "refuse"}
    with bench.place(hello=None) as place:
        assert not prove(fault, place, written).proved
        inject(fault, place, written)
        assert prove(fault, place, written).proved
        assert not prove_healed(fault, place, written).proved
        heal(fault, place, written)
        assert prove_healed(fault, place, written).proved


@pytest.mark.parametrize(("name", "written"), [case for case in CASES if case[1].get("mode") != "refuse"], ids=str)
def test_without_a_question_nothing_is_proved_and_the_mend_is_named(bench: Bench, name: str, written: Any) -> None:
    with bench.place(hello=None) as place:
        proof = prove(faults()[name], place, written)
    assert not proof.proved
    assert "declare `probe:`" in proof.text


@pytest.mark.parametrize(("name", "written"), CASES, ids=str)
def test_a_service_that_is_down_proves_nothing(bench: Bench, name: str, written: Any) -> None:
    """A relay takes connections for a dead service: what follows looks like a fault and is none."""
    fault = faults()[name]
    with bench.place(upstream=NOWHERE) as place:
        proof = prove(fault, place, written)
        assert not proof.proved, proof.text
        assert not prove_healed(fault, place, written).proved


def test_of_several_relays_each_has_to_show_it(bench: Bench) -> None:
    fault, written = faults()["latency"], {"latency": "30ms"}
    with bench.place(proxies=3) as place:
        inject(fault, replace(place, proxies=place.proxies[:2]), written)
        some = prove(fault, place, written)
        assert not some.proved
        assert "2 of 3 relays" in some.text and "test-2" in some.text
        heal(fault, place, written)
        applied = inject(fault, place, written)
        assert applied.targets == ("test-0", "test-1", "test-2")
        assert prove(fault, place, written).proved


def test_the_delay_that_a_cohort_always_has_is_no_effect(bench: Bench) -> None:
    fault, written = faults()["latency"], {"latency": "20ms"}
    with bench.place() as place:
        place.proxies[0].add_toxic("cohort-latency", "latency", "downstream", {"latency": 30, "jitter": 0})
        usual = replace(place, usual_delays_ns={"test-0": (30_000_000, 0)})
        assert not prove(fault, usual, written).proved
        assert prove_healed(fault, usual, written).proved
        inject(fault, usual, written)
        assert prove(fault, usual, written).proved
        assert not prove_healed(fault, usual, written).proved


def test_what_is_too_fast_to_be_seen_is_unproved_and_says_so(bench: Bench) -> None:
    fault, written = faults()["bandwidth"], {"rate": "500MB/s"}
    with bench.place() as place:
        inject(fault, place, written)
        proof = prove(fault, place, written)
        assert not proof.proved
        assert "too little to tell" in proof.text
        assert "within the limit" in prove(faults()["data_limit"], place, {"size": "1GiB"}).text
