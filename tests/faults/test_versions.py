"""deploy and rollback on real processes: another command takes over, and the first one comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import ChaosctlError, NotReadyError
from chaosctl.faults import processes, replacing
from chaosctl.faults.contract import Exit, Place, Standing
from chaosctl.faults.registry import faults
from chaosctl.safety.processes import look

from .conftest import inject, params_of, prove, prove_healed

pytestmark = pytest.mark.e2e
DEPLOY, ROLLBACK = faults()["deploy"], faults()["rollback"]
OWN = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
OTHER = [sys.executable, "-S", "-c", "import time; time.sleep(61)"]
BROKEN = [sys.executable, "-S", "-c", "raise SystemExit('cannot read the state')"]
STUBBORN = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(62)"]
FAST = {"grace": "100ms", "ready_within": "1s"}


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "READY_LOOK_S", 0.3)


class Replica:
    """One child process that is started as what is wanted whenever it is released, as a driver does."""

    service = "world"

    def __init__(self, index: int, log: list[str]) -> None:
        self.index = index
        self.log = log
        self.added: dict[str, str] = {}
        self._own = self._wanted = self._started = (None, OWN)
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        self._started = self._wanted
        self.log.append(f"start {self.index} {self._started[0]}")
        self._child = subprocess.Popen(self._started[1], stderr=subprocess.DEVNULL)

    def container(self) -> None:
        """It is a process."""

    def pid(self) -> int | None:
        return None if self._child.poll() is not None else self._child.pid

    def start_ticks(self) -> int | None:
        process = look(self._child.pid)
        return None if process is None else process.start_ticks

    def signal(self, name: str) -> None:
        if self.pid() is None:
            raise NotReadyError(f"world[{self.index}] is down")
        self.log.append(f"{name} {self.index}")
        self._child.send_signal(signal.Signals[name])

    def frozen(self) -> bool:
        return False

    def hold_down(self) -> None:
        """Nothing else starts it."""

    def release(self) -> None:
        with self._lock:
            if self.pid() is None:
                self._start()

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        try:
            self._child.wait(within_s)
        except subprocess.TimeoutExpired:
            return None
        return Exit(time.monotonic_ns(), 0, None)

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        if env.get("BAD") == str(self.index):
            raise ChaosctlError("'${x}' has no value here")
        self._wanted = (version, tuple(run or OWN))  # type: ignore[assignment]

    def use_own(self) -> None:
        self._wanted = self._own

    def standing(self) -> Standing:
        (wanted, _), (version, argv) = self._wanted, self._started
        ready = self.pid() is not None and "raise" not in argv[-1]
        return Standing(wanted, version, self._started is not self._wanted, argv, self.added, ready)

    def said(self) -> list[str]:
        return ["cannot read the state"]

    def ignores_term(self) -> None:
        """Wait until it does (proc(5): SigIgn is a mask of signals, the lowest bit is 1)."""
        status = Path(f"/proc/{self._child.pid}/status")
        assert processes.wait_until(lambda: int(_field(status, "SigIgn"), 16) & 1 << signal.SIGTERM - 1 != 0, 10.0)

    def end(self) -> None:
        self.added: dict[str, str] = {}
        self._own = self._wanted = self._started
        self._child.kill()
        self._child.wait()


def _field(status: Path, name: str) -> str:
    return next(line.split()[1] for line in status.read_text().splitlines() if line.startswith(f"{name}:"))


@contextmanager
def place_of(count: int = 1, held: bool = False) -> Iterator[tuple[Place, list[Replica], list[str]]]:
    log: list[str] = []
    replicas = [Replica(index, log) for index in range(count)]
    try:
        yield Place("world", processes=tuple(replicas), held=held), replicas, log
    finally:
        for replica in replicas:
            replica.end()


def test_another_command_takes_over_and_the_first_one_comes_back() -> None:
    with place_of() as (place, (replica,), _):
        first = replica.pid()
        written = {**FAST, "run": OTHER, "version": 2}
        applied = inject(DEPLOY, place, written)
        assert applied.targets == (f"world[0] (process {first})",)
        seen = prove(DEPLOY, place, written, applied)
        assert seen.proved
        assert f"process {replica.pid()} runs version 2 (" in seen.text
        assert seen.text.endswith("and is ready")
        second = replica.pid()
        assert first != second
        seen = prove(ROLLBACK, place, FAST, inject(ROLLBACK, place, FAST))
        assert seen.proved
        assert f"process {replica.pid()} runs the target's own version" in seen.text
        assert replica.pid() not in (first, second)


def test_a_deploy_that_lasts_is_rolled_back_by_its_heal_and_only_then() -> None:
    written = {**FAST, "run": OTHER}
    for held in (True, False):
        with place_of(held=held) as (place, (replica,), _):
            applied = inject(DEPLOY, place, written)
            assert prove(DEPLOY, place, written, applied).proved
            DEPLOY.restore("f1", place, params_of(DEPLOY, written))
            assert prove_healed(DEPLOY, place, {**FAST, "run": OTHER}).proved is held
            assert (replica.standing().version is None) is held


def test_the_environment_is_looked_at_too_and_only_its_names_are_told() -> None:
    with place_of() as (place, (replica,), _):
        written = {**FAST, "run": OTHER, "env": {"TOKEN": "s3cret"}}
        replica.added = {"PATH": os.environ["PATH"]}
        seen = prove(DEPLOY, place, written, inject(DEPLOY, place, written))
        assert f"process {replica.pid()} runs version other (" in seen.text
        assert ", with PATH set)" in seen.text
        assert os.environ["PATH"] not in seen.text
        replica.added = {"TOKEN": "s3cret"}
        seen = replacing.prove(place, params_of(DEPLOY, written), "other")
        assert f"process {replica.pid()} was started as version other (" in seen.text
        assert "s3cret" not in seen.text


def test_what_does_not_end_when_asked_is_killed() -> None:
    with place_of() as (place, (replica,), log):
        written = {**FAST, "run": STUBBORN}
        assert prove(DEPLOY, place, written, inject(DEPLOY, place, written)).proved
        replica.ignores_term()
        assert prove(ROLLBACK, place, FAST, inject(ROLLBACK, place, FAST)).proved
        assert log[-3:] == ["SIGTERM 0", "SIGKILL 0", "start 0 None"]


def test_a_rolling_one_takes_one_replica_after_another_and_otherwise_all_are_asked_first() -> None:
    for rolling in (True, False):
        with place_of(2) as (place, _, log):
            written = {**FAST, "run": OTHER, "rolling": rolling}
            assert prove(DEPLOY, place, written, inject(DEPLOY, place, written)).proved
            turns = ["SIGTERM 0", "start 0 other", "SIGTERM 1", "start 1 other"]
            assert log[2:] == (turns if rolling else ["SIGTERM 0", "SIGTERM 1", "start 0 other", "start 1 other"])


def test_a_version_that_crashes_at_its_start_was_deployed_and_says_why_and_can_be_rolled_back() -> None:
    with place_of() as (place, (replica,), _):
        written = {**FAST, "run": BROKEN, "version": "bad"}
        seen = prove(DEPLOY, place, written, inject(DEPLOY, place, written))
        assert seen.proved
        assert "version bad was started" in seen.text
        assert seen.text.endswith("ended before it was ready; it said: cannot read the state")
        assert replica.pid() is None
        assert prove(ROLLBACK, place, FAST, inject(ROLLBACK, place, FAST)).proved
        assert replica.pid() is not None


def test_a_rollback_overtakes_a_rolling_deploy() -> None:
    with place_of(3) as (place, replicas, _):
        inject(DEPLOY, place, {**FAST, "run": OTHER, "rolling": True})
        assert prove(ROLLBACK, place, FAST, inject(ROLLBACK, place, FAST)).proved
        assert [replica.standing().version for replica in replicas] == [None] * 3


def test_a_rollback_without_a_deploy_is_refused() -> None:
    with place_of() as (place, (replica,), log):
        with pytest.raises(NotReadyError, match="put a deploy before the rollback"):
            inject(ROLLBACK, place, FAST)
        assert log == ["start 0 None"]
        assert replica.pid() is not None


def test_a_command_that_cannot_be_completed_changes_nothing() -> None:
    with place_of(2) as (place, replicas, log):
        with pytest.raises(ChaosctlError, match="has no value"):
            inject(DEPLOY, place, {**FAST, "env": {"BAD": "1"}})
        assert [replica.standing().outdated for replica in replicas] == [False, False]
        assert len(log) == 2


def test_a_service_that_runs_on_as_it_was_proves_nothing() -> None:
    with place_of() as (place, (replica,), _):
        replica.use("2", OTHER, {})
        seen = replacing.prove(place, params_of(ROLLBACK, {"grace": "0s"}), "2")
        assert not seen.proved
        assert seen.text == "world[0]: did not give way to version 2"
    nothing: Any = replacing.prove(Place("world"), params_of(ROLLBACK, FAST), None)
    assert not nothing.proved
