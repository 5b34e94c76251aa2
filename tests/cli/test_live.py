"""Watching a run: what is shown is true, fits, and can never disturb the run."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from chaosctl.cli.live import LiveView, PlainView, QuietView, make_view
from chaosctl.cli.live_picture import LEAST_WIDTH, clock, picture
from chaosctl.cli.live_state import LiveState, sentence
from chaosctl.plan.model import Phase, Plan, PlannedFault

S = 1_000_000_000
EVENTS: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (0, "phase", {"name": "up"}),
    (1, "service_started", {"service": "world", "replica": 0, "pid": 41, "start": 1}),
    (2, "service_ready", {"service": "world", "replica": 0}),
    (3, "relay", {"kind": "toxiproxy", "version": "2.12.0"}),
    (4, "load_started", {}),
    (5, "phase", {"name": "timeline"}),
    (6, "generator", {"worker": 0, "users": 120, "ok": 900, "fail": 3, "info": 1, "p50_ms": 10, "p99_ms": 40}),
    (6, "generator", {"worker": 1, "users": 80, "ok": 300, "fail": 0, "info": 0, "p50_ms": 30, "p99_ms": 90}),
    (6, "probe", {"route": "relay", "ok": 0, "failed": 20, "p50_ms": None}),
    (6, "probe", {"route": "direct", "ok": 20, "failed": 0, "p50_ms": 1.2}),
    (9, "fault_applied", {"fault": "f1-latency", "targets": ["gateway-world"]}),
    (9, "fault_proved", {"fault": "f1-latency", "proved": False, "proof": "no delay seen"}),
)


def plan() -> Plan:
    lasting = PlannedFault("f1-latency", "latency", "link", "gateway-world", {}, 5 * S, 9 * S)
    kill = PlannedFault("f2-kill", "kill", "service", "world", {}, 14 * S, None)
    phases = (Phase("timeline", 0, 25 * S),)
    return Plan(1, "world-crash", "h", "x", 7, phases, (lasting, kill), (), (), (), (), "a", "a", 1, 1, {})


def state_after(*more: tuple[int, str, dict[str, Any]]) -> LiveState:
    state = LiveState()
    for second, event, fields in (*EVENTS, *more):
        state.apply(event, fields, second * S)
    return state


def drawn(
    state: LiveState, *, width: int = 80, height: int = 24, now_s: int = 10, encoding: str = "utf-8"
) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, height=height, highlight=False)
    return picture(plan(), state, now_s * S, console).plain.splitlines()


def test_the_picture_says_where_the_run_is() -> None:
    text = "\n".join(drawn(state_after()))
    assert "world-crash  timeline  load 0:06.0 of 0:25.0, run 0:10.0" in text
    assert "200 users  ok 1200/s  fail 3/s  unknown 1/s  p50 15ms  p99 90ms" in text
    assert "relay ✘ 20 failed, 0 ok   direct ✔ 1.2ms" in text
    assert "● f1-latency on gateway-world since 0:09.0, NOT proved" in text
    assert "○ f2-kill on world in 0:08.0" in text
    assert "1 of 1 ready" in text
    assert "0:09.0 f1-latency NOT proved: no delay seen" in text


def test_on_a_narrow_terminal_the_latency_has_a_line_of_its_own() -> None:
    lines = drawn(state_after(), width=60)
    at = next(number for number, line in enumerate(lines) if line.startswith("load"))
    assert lines[at].endswith("unknown 1/s") and lines[at + 1].strip() == "p50 15ms  p99 90ms"


def test_what_comes_twice_a_second_does_not_push_out_what_happened() -> None:
    flood = tuple((10, "metrics", {"service": "world", "round": turn}) for turn in range(50))
    text = "\n".join(drawn(state_after(*flood)))
    assert "metrics" not in text and "0:09.0 f1-latency NOT proved" in text


def test_the_strip_shows_past_present_and_future() -> None:
    strip = next(line for line in drawn(state_after()) if line.startswith("faults"))
    assert strip.count("█") == 12 and strip.count("┃") == 1
    healed = state_after((13, "fault_healed", {"fault": "f1-latency"}))
    strip = next(line for line in drawn(healed, now_s=13) if line.startswith("faults"))
    assert "█" not in strip and strip.count("▒") == 12
    waiting = next(line for line in drawn(LiveState()) if line.startswith("faults"))
    assert waiting.count("░") == 12


def test_a_replica_that_dies_and_comes_back() -> None:
    exited = (17, "service_exited", {"service": "world", "replica": 0, "signal": "SIGKILL"})
    assert "0 of 1 ready; world[0] ended by SIGKILL" in "\n".join(drawn(state_after(exited)))
    back = (18, "service_started", {"service": "world", "replica": 0, "pid": 50, "start": 2})
    ready = (19, "service_ready", {"service": "world", "replica": 0})
    assert "1 of 1 ready; world[0] ready, 1 restart" in "\n".join(drawn(state_after(exited, back, ready)))
    roomy = "\n".join(drawn(state_after(exited, back, ready), height=40))
    assert "services  world[0]         ready, 1 restart" in roomy


@pytest.mark.parametrize("width", [1, 20, 50, 80, 200])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 60])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    many = [(7, "service_started", {"service": f"s{n}", "replica": 0, "pid": n, "start": 1}) for n in range(50)]
    lines = drawn(state_after(*many), width=width, height=height)
    assert len(lines) <= max(height - 1, 3)
    assert max(map(len, lines)) <= max(width, LEAST_WIDTH)


def test_an_old_terminal_gets_ascii() -> None:
    assert "\n".join(drawn(state_after(), encoding="ascii")).isascii()


VALUES = st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text(), max_size=2))
FIELDS = st.dictionaries(
    st.sampled_from(["fault", "service", "replica", "worker", "users", "ok", "p50_ms", "route", "name", "start"]),
    VALUES,
)
NAMES = st.sampled_from(sorted({event for _, event, _ in EVENTS} | {"fault_healed", "run_ended", "stopped", "new"}))


@given(st.lists(st.tuples(NAMES, FIELDS, st.integers(0, 10**12)), max_size=12))
def test_no_event_can_break_the_picture(events: list[tuple[str, dict[str, Any], int]]) -> None:
    state = LiveState()
    for event, fields, at_ns in events:
        state.apply(event, fields, at_ns)
    assert all(line.isprintable() for line in drawn(state))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "did not come within 5 s"
        time.sleep(0.01)


def test_plain_lines_are_one_an_event() -> None:
    out = io.StringIO()
    view = make_view(plan(), Console(file=out, width=40, highlight=False), "live")  # no terminal: plain
    assert isinstance(view, PlainView)
    view.start()
    for second, event, fields in EVENTS:
        view.on_event(event, fields, second * S)
    view.on_event("note", {"text": "[bold]hi[/bold] \x1b[31m"}, 10 * S)
    view.stop()
    lines = out.getvalue().splitlines()
    assert lines[0] == "0:00.0  phase: up"
    assert "0:01.0  world[0] started (process 41)" in lines
    assert "0:10.0  [bold]hi[/bold]  [31m" in lines
    assert not [line for line in lines if "generator" in line]


def test_plain_says_the_rates_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.cli.live.STATUS_EVERY_NS", S // 100)
    out = io.StringIO()
    view = PlainView(plan(), Console(file=out, width=40, highlight=False))
    view.start()
    for second, event, fields in EVENTS:
        view.on_event(event, fields, second)
    wait_for(lambda: "200 users  ok 1200/s" in out.getvalue())
    view.stop()


def test_live_draws_and_gives_the_terminal_back() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, color_system=None)
    view = make_view(plan(), console, "live")
    assert isinstance(view, LiveView)
    view.start()
    for second, event, fields in EVENTS:
        view.on_event(event, fields, second * S)
    wait_for(lambda: "200 users" in out.getvalue())
    view.stop()
    view.stop()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1  # the cursor is back


@pytest.mark.parametrize("mode", ["live", "plain"])
def test_a_terminal_that_is_gone_does_not_disturb_the_run(mode: Any) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    view = make_view(plan(), Console(file=Gone(), force_terminal=mode == "live", width=80, height=24), mode)
    view.start()
    for second, event, fields in EVENTS:
        view.on_event(event, fields, second * S)
    view.stop()


def test_a_terminal_that_hangs_does_not_hold_up_the_run() -> None:
    release = threading.Event()

    class Hanging(io.StringIO):
        def write(self, text: str) -> int:
            release.wait(10)
            return len(text)

    view = PlainView(plan(), Console(file=Hanging(), width=80))
    view.start()
    begun = time.monotonic()
    for index in range(10_000):
        view.on_event("note", {"text": str(index)}, index)
    assert time.monotonic() - begun < 2
    release.set()
    view.stop()


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    view = make_view(plan(), Console(file=sys.stdout), "quiet")
    assert isinstance(view, QuietView)
    view.start()
    view.on_event("phase", {"name": "up"}, 0)
    view.stop()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("event", "fields", "words"),
    [
        ("service_exited", {"service": "a", "replica": 1, "code": 3}, "a[1] exited with 3"),
        ("service_started", {"service": "a", "replica": 1, "pid": 9, "start": 2}, "a[1] started (process 9, start 2)"),
        (
            "service_started",
            {"service": "a", "replica": 0, "pid": 9, "version": "2"},
            "a[0] started as version 2 (process 9)",
        ),
        (
            "service_exited",
            {"service": "a", "replica": 0, "code": 1, "said": ["x", "no"]},
            "a[0] exited with 1 before it was ready: no",
        ),
        ("fault_failed", {"fault": "f1", "why": "no relay"}, "f1 could not be applied: no relay"),
        ("fault_heal_proved", {"fault": "f1", "proved": False, "proof": "x"}, "f1 NOT seen to be gone: x"),
        ("crashed", {"part": "swarm", "why": "signal 9"}, "crashed: part swarm, why signal 9"),
        ("run_ended", {"reason": "error", "error": "boom"}, "the run has ended: error: boom"),
        ("brand_new", {}, "brand new"),
        ("replay_finished", {"run": "replay-1", "code": 0, "ticks": 9}, "replay-1: 9 ticks replayed"),
        ("replay_finished", {"run": "a", "code": 3, "ticks": 9}, "a: 9 ticks replayed, exited with 3"),
        (
            "replay_finished",
            {"run": "a", "code": -9, "ticks": 9, "until_tick": 8},
            "a: 9 ticks replayed, killed at tick 8",
        ),
        ("replay_canary", {"factor": "cpu", "reached": False, "text": "x"}, "cpu NOT seen to reach the replay"),
        (
            "tampered",
            {"text": "without x", "noticed": True, "how": "y"},
            "replay with a changed log, without x: noticed",
        ),
    ],
)
def test_events_in_words(event: str, fields: dict[str, Any], words: str) -> None:
    assert sentence(event, fields) == words


@given(st.integers(0, 10**14))
def test_the_clock_is_minutes_seconds_and_tenths(at_ns: int) -> None:
    minutes, seconds = clock(at_ns).split(":")
    assert int(minutes) * 60 + float(seconds) == pytest.approx(at_ns // 10**8 / 10)
