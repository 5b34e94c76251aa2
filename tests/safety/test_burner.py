"""A burner ends with the process that it is there for, and with whoever started it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.safety import burner
from chaosctl.safety.burner_undo import BurnersUndo
from chaosctl.safety.burners import held_bytes
from chaosctl.safety.label import BURNER_LABEL, burners_of
from chaosctl.safety.processes import look
from chaosctl.safety.undo import from_json, play, to_json

SCRIPT = (sys.executable, "-I", "-S", burner.__file__)


@pytest.fixture
def other() -> Iterator[int]:
    """A process that a burner can be there for."""
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running.pid
        running.kill()


def begun(burning: subprocess.Popen[bytes]) -> tuple[int, ...]:
    assert burning.stdout is not None
    first, *workers = burning.stdout.readline().split()
    assert first == b"begun"
    return tuple(map(int, workers))


def gone(pid: int) -> bool:
    end_s = time.monotonic() + 10
    while (found := look(pid)) is not None and not found.ended and time.monotonic() < end_s:
        time.sleep(0.01)
    return found is None or found.ended


def test_it_ends_with_whom_it_is_there_for(other: int) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen([*SCRIPT, "cpu", "2", str(other), "-"], stdin=reading, stdout=subprocess.PIPE) as burning:
        workers = begun(burning)
        assert len(workers) == 2
        os.kill(other, 9)
        assert burning.stdout is not None
        assert burning.stdout.readline() == b"ended 0\n"
        assert burning.wait(10) == 0
        assert all(map(gone, workers))
    os.close(reading)
    os.close(writing)


def test_it_ends_with_who_started_it(other: int) -> None:
    words = [*SCRIPT, "hold", str(3 << 20), str(other), "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as burning:
        (worker,) = begun(burning)
        end_s = time.monotonic() + 10
        while held_bytes([worker]) < 3 << 20:
            assert time.monotonic() < end_s
        assert burning.stdin is not None
        burning.stdin.close()
        assert burning.wait(10) == 0
        assert gone(worker)


def test_its_mark_is_what_it_is_found_and_ended_by(other: int) -> None:
    undo = BurnersUndo("test:f1-cpu")
    assert from_json(to_json(undo)) == undo
    words, marked = [*SCRIPT, "cpu", "1", str(other), "-"], {BURNER_LABEL: undo.mark}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=marked) as burning:
        begun(burning)
        assert burners_of("test:f2-cpu") == ()
        assert len(burners_of(undo.mark)) == 2
        assert play(undo).text == "ended 2 burners"
    assert play(undo) == play(undo)
    assert play(undo).text == "no burner is left: nothing to undo"


def test_who_is_to_be_ended_first_is_as_before_if_nobody_was(other: int) -> None:
    path = Path(f"/proc/{other}/oom_score_adj")
    before = path.read_text()
    marked = {BURNER_LABEL: "test:f1-oom"}
    words = [*SCRIPT, "fill", str(1 << 20), str(other), "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=marked) as burning:
        begun(burning)
        assert path.read_text().strip() == "1000"
        assert play(BurnersUndo("test:f1-oom")).done
    assert path.read_text() == before
