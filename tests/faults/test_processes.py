"""Every fault on processes, on real ones: seen when it is there, and only then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, Exit, Place
from chaosctl.faults.registry import faults
from chaosctl.safety.processes import look, thread_states
from chaosctl.safety.undo import SignalUndo, Undo

from .conftest import heal, inject, params_of, prove, prove_healed

pytestmark = pytest.mark.e2e
# Two threads, so that all of them have to stop; it says when it is ready for signals.
SLEEPER = """
import signal, sys, threading, time
signal.signal(signal.SIGTERM, {term})
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("ready", flush=True)
time.sleep(60)
"""
OBEYS, EXITS_3, IGNORES = "signal.SIG_DFL", "lambda *_: sys.exit(3)", "signal.SIG_IGN"


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_S", 0.5)


class Replica:
    """One child process that is started again when it is released, as a driver does."""

    service, index = "world", 0

    def __init__(self, term: str) -> None:
        self._code = SLEEPER.format(term=term)
        self._ended: dict[int, Exit] = {}
        self.log: list[str] = []
        self._start()

    def _start(self) -> None:
        self._child = subprocess.Popen([sys.executable, "-c", self._code], stdout=subprocess.PIPE)
        assert self._child.stdout is not None
        self._child.stdout.readline()

    def container(self) -> None:
        """It is a process."""

    def pid(self) -> int | None:
        return None if self._child.poll() is not None else self._child.pid

    def start_ticks(self) -> int | None:
        process = look(self._child.pid)
        return None if process is None else process.start_ticks

    def signal(self, name: str) -> None:
        if self.pid() is None:
            raise NotReadyError("world[0] is down; there is nothing to signal")
        self.log.append(name)
        os.kill(self._child.pid, signal.Signals[name])

    def freeze(self) -> None:
        self.signal("SIGSTOP")

    def thaw(self) -> None:
        self.signal("SIGCONT")

    def thawing(self) -> tuple[Undo, ...]:
        start_ticks = self.start_ticks()
        return () if start_ticks is None else (SignalUndo(self._child.pid, start_ticks, "SIGCONT"),)

    def frozen(self) -> bool:
        states = thread_states(self._child.pid)
        return bool(states) and states <= processes.STOPPED

    def hold_down(self) -> None:
        self.log.append("hold_down")

    def release(self) -> None:
        self.log.append("release")
        if self.pid() is None:
            self._start()

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        if pid == self._child.pid:
            try:
                code = self._child.wait(within_s)
            except subprocess.TimeoutExpired:
                return None
            name = signal.Signals(-code).name if code < 0 else None
            self._ended[pid] = Exit(time.monotonic_ns(), None if name else code, name)
        return self._ended.get(pid)

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()


@contextmanager
def place_of(term: str = OBEYS, held: bool = False) -> Iterator[tuple[Place, Replica]]:
    replica = Replica(term)
    try:
        yield Place("world", processes=(replica,), held=held), replica
    finally:
        replica.end()


def not_applied(replica: Replica) -> Applied:
    """What a fault would remember that did nothing."""
    memo = {"processes": [{"name": "world[0]", "pid": replica.pid(), "start_ticks": replica.start_ticks()}]}
    return Applied(0, 0, (), memo)


@pytest.mark.parametrize("name", ["kill", "stop"])
def test_an_end_is_proved_by_the_parent_and_healed_by_a_start(name: str) -> None:
    fault = faults()[name]
    with place_of(held=True) as (place, replica):
        pid = replica.pid()
        applied = inject(fault, place, {})
        assert applied.targets == (f"world[0] (process {pid})",)
        seen = prove(fault, place, {}, applied)
        assert seen.proved and ("SIGKILL" if name == "kill" else "SIGTERM") in seen.text
        assert replica.log[0] == "hold_down"
        assert not prove_healed(fault, place, {}).proved
        heal(fault, place, {})
        assert replica.log[-1] == "release"
        healed = prove_healed(fault, place, {})
        assert healed.proved and str(replica.pid()) in healed.text
        heal(fault, place, {})
        assert prove_healed(fault, place, {}).proved


@pytest.mark.parametrize("name", ["kill", "stop"])
def test_without_an_end_in_the_plan_the_restart_policy_is_left_to_act(name: str) -> None:
    fault = faults()[name]
    with place_of() as (place, replica):
        inject(fault, place, {})
        fault.restore("f1", place, params_of(fault, {}))
        assert not {"hold_down", "release"} & set(replica.log)


def test_a_process_that_exits_by_itself_when_asked_is_stopped() -> None:
    with place_of(EXITS_3) as (place, _):
        proof = prove(faults()["stop"], place, {}, inject(faults()["stop"], place, {}))
        assert proof.proved and "exit code 3" in proof.text


def test_a_process_that_ignores_being_asked_is_not_stopped() -> None:
    with place_of(IGNORES) as (place, _):
        proof = prove(faults()["stop"], place, {}, inject(faults()["stop"], place, {}))
        assert not proof.proved and "still ran" in proof.text


def test_what_ignores_being_asked_is_killed_after_its_grace() -> None:
    with place_of(IGNORES) as (place, replica):
        grace = {"grace": "100ms"}
        proof = prove(faults()["stop"], place, grace, inject(faults()["stop"], place, grace))
        assert proof.proved and "SIGKILL" in proof.text
        assert replica.log == ["SIGTERM", "SIGKILL"]


def test_without_a_grace_a_kill_by_somebody_else_is_no_stop() -> None:
    with place_of(IGNORES) as (place, replica):
        applied = inject(faults()["stop"], place, {})
        replica.signal("SIGKILL")
        assert not prove(faults()["stop"], place, {}, applied).proved


@pytest.mark.parametrize(("term", "signal"), [(OBEYS, "SIGABRT"), (OBEYS, "SIGTERM"), (EXITS_3, "SIGTERM")])
def test_a_kill_may_be_by_another_signal(term: str, signal: str) -> None:
    with place_of(term) as (place, replica):
        proof = prove(faults()["kill"], place, {"signal": signal}, inject(faults()["kill"], place, {"signal": signal}))
        assert proof.proved, proof
        assert replica.log == [signal]


def test_an_end_of_another_kind_does_not_prove_a_kill() -> None:
    with place_of() as (place, replica):
        applied = not_applied(replica)
        replica.signal("SIGTERM")
        proof = prove(faults()["kill"], place, {}, applied)
        assert not proof.proved and "SIGTERM" in proof.text


@pytest.mark.parametrize("name", ["kill", "pause", "restart"])
def test_a_process_that_runs_on_proves_nothing(name: str) -> None:
    with place_of() as (place, replica):
        assert not prove(faults()[name], place, {}, not_applied(replica)).proved


def test_a_pause_stops_every_thread_until_its_undo_is_played() -> None:
    fault = faults()["pause"]
    with place_of() as (place, replica):
        pid, start_ticks = replica.pid(), replica.start_ticks()
        assert pid is not None and start_ticks is not None
        assert fault.prepare("f1", place, params_of(fault, {})) == (SignalUndo(pid, start_ticks, "SIGCONT"),)
        assert prove(fault, place, {}, inject(fault, place, {})).proved
        assert not prove_healed(fault, place, {}).proved
        heal(fault, place, {})
        assert prove_healed(fault, place, {}).proved
        assert replica.pid() == pid


def test_a_pause_of_a_process_that_came_after_its_undo_was_written_is_healed_too() -> None:
    fault = faults()["pause"]
    with place_of() as (place, replica):
        inject(fault, place, {})
        fault.restore("f1", place, params_of(fault, {}))
        assert prove_healed(fault, place, {}).proved
        assert replica.log == ["SIGSTOP", "SIGCONT"]


@pytest.mark.parametrize(("term", "ended_by"), [(OBEYS, "SIGTERM"), (IGNORES, "SIGKILL")])
def test_a_restart_gives_way_to_another_process(term: str, ended_by: str) -> None:
    fault = faults()["restart"]
    with place_of(term) as (place, replica):
        before = replica.pid()
        applied = inject(fault, place, {"grace": "100ms"})
        proof = prove(fault, place, {"grace": "100ms"}, applied)
        assert proof.proved, proof.text
        assert f"{before} gave way to {replica.pid()}" in proof.text
        assert before is not None
        ended = replica.exit_of(before, 0)
        assert ended is not None and ended.signal == ended_by
        assert prove_healed(fault, place, {}).proved


@pytest.mark.parametrize("name", ["kill", "stop", "pause", "restart"])
def test_what_is_down_cannot_be_faulted(name: str) -> None:
    fault = faults()[name]
    with place_of() as (place, replica):
        replica.end()
        with pytest.raises(NotReadyError, match="is down"):
            inject(fault, place, {})
        assert fault.prepare("f1", place, params_of(fault, {})) == ()


@pytest.mark.parametrize("name", ["kill", "stop", "pause", "restart"])
def test_a_service_without_processes_proves_nothing(name: str) -> None:
    nothing = Place("world")
    params: Any = {}
    assert not prove(faults()[name], nothing, params, Applied(0, 0, (), {"processes": []})).proved
    assert not prove_healed(faults()[name], nothing, params).proved
