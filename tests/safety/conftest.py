"""Waiting with a bound, processes that are always ended, and a registry of runs of the test's own."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosctl.safety.label import end_run, labelled

BOUND_S = 10.0


def wait_until(holds: Callable[[], bool], what: str, within_s: float = BOUND_S) -> float:
    """Return how long it took, in seconds."""
    begin_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begin_s < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - begin_s


@pytest.fixture
def run_id() -> Iterator[str]:
    """The id of a run of which nothing is left after the test."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    assert end_run(name, (), 0.0)[1] == ()


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    return home


@pytest.fixture
def start(run_id: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes that carry the label."""
    started: list[subprocess.Popen[bytes]] = []

    def popen(*argv: str, **more: object) -> subprocess.Popen[bytes]:
        env = labelled({"PATH": "/usr/bin:/bin"}, run_id)
        process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True, **more)  # type: ignore[call-overload]
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
