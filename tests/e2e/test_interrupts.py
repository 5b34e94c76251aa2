"""Ctrl-C and its like, whenever they come: healed, torn down, recorded, and said."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
import threading
import time
from contextlib import suppress

import pytest

from tests.e2e.harness import HELD, Ended, Place, Run, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HOW = {"SIGINT": 130, "SIGTERM": 143}


@pytest.fixture(scope="module")
def stopped(place: Place) -> dict[str, tuple[Run, Ended]]:
    """Two runs side by side, each with both faults in force when its signal came."""
    runs = {name: place.run(name, file=HELD) for name in HOW}
    for name, run in runs.items():
        run.wait_until_held()
        run.signal(signal.Signals[name])
    return {name: (run, run.ended()) for name, run in runs.items()}


@pytest.mark.parametrize("name", HOW)
def test_a_signal_in_mid_fault_heals_tears_down_and_says_so(stopped: dict[str, tuple[Run, Ended]], name: str) -> None:
    run, ended = stopped[name]
    assert ended.code == HOW[name]
    run.nothing_is_left()
    assert [event["signal"] for event in run.events("interrupted")] == [name]
    assert {event["fault"] for event in run.events("fault_healed")} == {"f1-partition", "f2-pause"}
    assert run.events("cleanup_failed") == []
    assert run.events()[-1]["event"] == "run_ended"
    verdict = run.verdict()
    assert (verdict["status"], verdict["exit_code"], verdict["ended"]) == ("inconclusive", HOW[name], "interrupted")
    assert "interrupted" in ended.out
    assert "interrupted" in (run.bundle / "report.html").read_text()


@pytest.mark.parametrize(("command", "code"), [("report", 0), ("verify", 143)])
def test_an_interrupted_run_is_judged_and_reported_again(
    place: Place, stopped: dict[str, tuple[Run, Ended]], command: str, code: int
) -> None:
    run, _ = stopped["SIGTERM"]
    ended = place.chaosctl(command, run.bundle)
    assert ended.code == code
    assert "inconclusive" in ended.out


def test_ctrl_c_while_the_target_comes_up(place: Place) -> None:
    run = place.run("early", TINY_MOOD="deaf")
    run.wait_for("service_started")
    run.signal(signal.SIGINT)
    ended = run.ended()
    assert ended.code == 130
    run.nothing_is_left()
    assert run.verdict()["ended"] == "interrupted"


def test_ctrl_c_at_any_moment_before_the_load_ends_the_run(place: Place) -> None:
    """At the first sign of the bundle, whatever is under way then."""
    run = place.run("at-once")
    wait_until(lambda: (run.bundle / "run.json").exists(), "the bundle is begun")
    run.signal(signal.SIGINT)
    assert run.ended().code == 130
    run.nothing_is_left()


def test_a_second_ctrl_c_waits_for_no_grace(place: Place) -> None:
    run = place.run("twice", "--set", "target.services.tiny.stop_within=55s", file=HELD, TINY_MOOD="stubborn")
    run.wait_for("fault_applied", fault="f1-partition")
    run.signal(signal.SIGINT)
    run.wait_for("interrupted")
    began_s = time.monotonic()
    run.signal(signal.SIGINT)
    assert run.ended().code == 130
    assert time.monotonic() - began_s < 30, "the service's 55 s of grace were waited for"
    run.nothing_is_left()


def test_a_key_that_is_held_down_changes_nothing(place: Place) -> None:
    """The first ones end the run, the later ones its judging; what is left behind is the same: nothing."""
    run = place.run("held-down", TINY_MOOD="deaf")
    run.wait_for("service_started")
    while run.process.poll() is None:
        run.signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            run.process.wait(0.05)
    assert run.ended().code == 130
    run.nothing_is_left()
    assert place.chaosctl("verify", run.bundle).code == 130


def test_ctrl_c_on_a_terminal_gives_the_terminal_back(place: Place) -> None:
    """A person's way: the key reaches the whole foreground group, and the live picture is taken away."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, 120))
    seen = bytearray()
    run = place.run("terminal", terminal=slave, TERM="xterm-256color", COLUMNS="120", CI="")
    os.close(slave)

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(master, 65536):
                seen.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    run.wait_for("fault_applied")
    wait_until(lambda: b"bots-tiny" in seen, "the picture")
    os.write(master, b"\x03")
    code = run.process.wait(60)
    reader.join(5)
    os.close(master)
    text = seen.decode(errors="replace")
    assert code == 130, text[-2000:]
    assert "Traceback" not in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0, "the cursor is hidden once and shown again"
    assert "\x1b[?1049h" not in text or text.count("\x1b[?1049h") == text.count("\x1b[?1049l")
    summary = text.rpartition("\x1b[?25h")[2]
    assert "inconclusive" in summary
    assert "Exit code 130" in summary
    assert "^C" not in summary
    run.nothing_is_left()
