"""Stop conditions at work: pages and commands are asked, and nothing is said once the load is over."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from chaosctl.clock import MonotonicClock
from chaosctl.experiment.stop_condition import StopCondition
from chaosctl.experiment.units import WRITTEN
from chaosctl.runner.stop_conditions import StopConditions, ask_command, ask_page

BOUND_S = 10.0
S = 1_000_000_000
PYTHON = sys.executable


class Page(BaseHTTPRequestHandler):
    """Answers with `status`."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[tuple[type[Page], str]]:
    kind = type("OfThisTest", (Page,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield kind, f"http://127.0.0.1:{server.server_port}/healthz"
    server.shutdown()
    server.server_close()


class Watched:
    """Conditions, and what they said."""

    def __init__(self, folder: Path, *written: dict[str, Any]) -> None:
        self.said: SimpleQueue[str] = SimpleQueue()
        self.clock = MonotonicClock()
        self.origin_ns = self.clock.now_ns()
        conditions = [StopCondition.model_validate(one, context=WRITTEN) for one in written]
        self.conditions = StopConditions(conditions, folder, os.environ, self.clock, self.origin_ns, self.said.put)

    def report(self, at_s: int, **counted: Any) -> None:
        self.conditions.take({"event": "generator", "worker": "0", "at_ns": at_s * S, **counted})

    def nothing_said(self) -> bool:
        try:
            return not self.said.get(timeout=0.05)
        except Empty:
            return True


def test_numbers_stop_it_once_and_what_comes_late_says_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, {"errors": "> 50%", "over": "2s"}, {"users": "< 5", "over": "1s"})
    with watched.conditions.during(watched.origin_ns, ramp_ns=60 * S):
        for at_s in range(1, 4):
            watched.report(at_s, fail=10, users=1)
        assert watched.said.get(timeout=BOUND_S) == (
            "errors > 50% over 2s: 100% of 20 operations, from 0.0s to 2.0s of the run"
        )
    watched.report(9, fail=10)
    assert watched.nothing_said()


def test_messages_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    watched = Watched(tmp_path, {"errors": "> 50%", "over": "1s"})
    with watched.conditions.during(watched.origin_ns, ramp_ns=0):
        watched.conditions.take({"event": "bot_error", "at_ns": 5 * S, "fail": 10})
        assert watched.nothing_said()


def test_a_page_that_turns_bad_stops_it(tmp_path: Path, page: tuple[type[Page], str]) -> None:
    kind, url = page
    watched = Watched(tmp_path, {"http": url, "unhealthy_for": "200ms", "every": "100ms"})
    with watched.conditions.during(watched.origin_ns, ramp_ns=0):
        assert watched.nothing_said()
        kind.status = 503
        said = watched.said.get(timeout=BOUND_S)
    assert said.startswith(f"{url} unhealthy for 200ms: ")
    assert said.endswith("the last: 503 Service Unavailable")


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (204, True), (301, False), (404, False), (500, False)])
def test_only_2xx_is_healthy(page: tuple[type[Page], str], status: int, healthy: bool) -> None:
    kind, url = page
    kind.status = status
    assert ask_page(url, BOUND_S)[0] is healthy


def test_nobody_there_is_unhealthy() -> None:
    assert ask_page("http://127.0.0.1:1/", BOUND_S) == (False, "Connection refused")


def test_a_command_that_objects_stops_it(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    asked = {"command": ["sh", "-c", "test ! -e flag || { echo enough; exit 3; }"], "every": "100ms"}
    watched = Watched(tmp_path, asked)
    with watched.conditions.during(watched.origin_ns, ramp_ns=0):
        assert watched.nothing_said()
        flag.touch()
        said = watched.said.get(timeout=BOUND_S)
    assert said.endswith("objects: exited with 3 and said: enough")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("true",), ""),
        (("sh", "-c", "kill -9 $$"), "ended by signal 9"),
        (("no-such-program",), "it cannot be started: No such file or directory"),
        ((PYTHON, "-c", "print('a'); print('b'); raise SystemExit(2)"), "exited with 2 and said: b"),
    ],
)
def test_what_a_command_objects_to(tmp_path: Path, words: tuple[str, ...], found: str) -> None:
    assert ask_command(words, tmp_path, os.environ) == found


def test_a_command_that_hangs_objects_and_is_ended(tmp_path: Path) -> None:
    hanging = ("sh", "-c", "echo $$ > pid; sleep 600")
    assert ask_command(hanging, tmp_path, os.environ, within_s=0.3) == "it did not end within 0.3 s"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
