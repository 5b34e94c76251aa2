"""Sampling beside a run: what is asked, what is recorded, and that nothing of it holds anything up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chaosctl.clock import MonotonicClock
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import PROCESS_NUMBERS, Service
from chaosctl.runner.sampling import Sampling, _sessions, process_numbers
from chaosctl.safety.container import Container

BOUND_S = 10.0
WANTED: Mapping[str, Any] = {"metrics": {}}


class Page(BaseHTTPRequestHandler):
    """Says what `body` holds; `hold` keeps it from answering."""

    body = b'{"clients": 3}'
    hold: threading.Event | None = None

    def do_GET(self) -> None:
        if self.hold is not None:
            self.hold.wait(BOUND_S)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *said: Any) -> None:
        pass


class Here:
    """A driver of one replica of each service, which is this very process."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.known = {"world", "gateway"}
        self.engine = ""

    def process(self, service: str, index: int) -> Here:
        if service not in self.known:
            raise NotReadyError(f"there is no {service}[{index}]")
        return self

    def pid(self) -> int:
        return os.getpid()

    def container(self) -> Container | None:
        return Container(self.engine, "abc", "net") if self.engine else None

    def values(self, service: str, index: int) -> Mapping[str, str]:
        return {"self.status": self.address}


class Sampled:
    """A sampling of these services that notes what is recorded."""

    def __init__(self, services: Mapping[str, Mapping[str, Any]], page: type[Page]) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), page)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.driver = Here(f"127.0.0.1:{self.server.server_port}")
        self.seen: list[Mapping[str, Any]] = []
        self.clock = MonotonicClock()
        self.sampling = Sampling(
            {name: Service.model_validate({"run": ["x"], **more}) for name, more in services.items()},
            self.driver,  # type: ignore[arg-type]
            lambda event, /, **fields: self.seen.append({"event": event, **fields}),
            self.clock,
            self.clock.now_ns(),
        )

    def until(self, true: Callable[[list[Mapping[str, Any]]], bool]) -> list[Mapping[str, Any]]:
        deadline_s = time.monotonic() + BOUND_S
        with self.sampling.during(self.clock.now_ns(), WANTED):
            while not true(self.seen):
                assert time.monotonic() < deadline_s, self.seen
                time.sleep(0.01)
        return list(self.seen)


OFFERING = {"ports": ["status"], "offers": {"metrics": {"http": "status/metrics"}}}


def test_offered_numbers_and_those_of_the_process_are_recorded_together() -> None:
    sampled = Sampled({"gateway": {**OFFERING, "replicas": 2}, "world": {}}, Page)
    seen = sampled.until(lambda seen: len(seen) >= 6)
    assert {(one["service"], one["replica"]) for one in seen} == {("gateway", 0), ("gateway", 1), ("world", 0)}
    for one in seen:
        assert (one["event"], one["ok"], one["error"], one["pid"]) == ("metrics", True, "", os.getpid())
        assert set(one["values"]) == {*PROCESS_NUMBERS, *(["clients"] if one["service"] == "gateway" else [])}
    rounds = [{one["replica"] for one in seen if one["round"] == turn and one["service"] == "gateway"} for turn in (1,)]
    assert rounds == [{0, 1}]


def test_the_processes_of_another_machine_are_not_looked_for_on_this_one() -> None:
    sampled = Sampled({"gateway": OFFERING}, Page)
    sampled.driver.engine = "tcp://box:2375"
    (one, *_) = sampled.until(bool)
    assert (one["pid"], one["values"]) == (os.getpid(), {"clients": 3})


def test_nothing_is_sampled_when_nothing_judges_it() -> None:
    sampled = Sampled({"gateway": OFFERING}, Page)
    threads = threading.active_count()
    with sampled.sampling.during(0, {"latency": {}}):
        assert threading.active_count() == threads
    assert sampled.seen == []


@pytest.mark.parametrize("body", [b"oops", b'{"clients": "many"}', b"[1]", b'{"clients": true}'])
def test_an_odd_answer_is_an_error_and_the_process_is_still_seen(body: bytes) -> None:
    page = type("OddPage", (Page,), {"body": body})
    (one, *_) = Sampled({"gateway": OFFERING}, page).until(bool)
    assert (one["ok"], set(one["values"])) == (False, set(PROCESS_NUMBERS))
    assert one["error"]


def test_a_service_that_hangs_holds_up_neither_the_others_nor_the_end() -> None:
    hold = threading.Event()
    page = type("HungPage", (Page,), {"hold": hold})
    sampled = Sampled({"gateway": OFFERING, "world": {}}, page)
    try:
        seen = sampled.until(lambda seen: sum(one["service"] == "world" for one in seen) >= 2)
        assert all(one["service"] == "world" or not one["ok"] for one in seen)
    finally:
        hold.set()


def test_what_raises_is_recorded_and_goes_no_further() -> None:
    sampled = Sampled({"ledger": {}, "world": {}}, Page)
    seen = sampled.until(lambda seen: len(seen) >= 4)
    assert {one["error"] for one in seen if one["service"] == "ledger"} == {"NotReadyError: there is no ledger[0]"}
    assert any(one["ok"] for one in seen if one["service"] == "world")


def test_nothing_is_recorded_after_the_end() -> None:
    sampled = Sampled({"world": {}}, Page)
    seen = len(sampled.until(bool))
    sampled.sampling._sample("world", 0, 9, {}, _set())
    assert len(sampled.seen) == seen


def _set() -> threading.Event:
    over = threading.Event()
    over.set()
    return over


def test_the_kernels_numbers_are_about_right() -> None:
    eater = [sys.executable, "-c", "kept = b'x' * 50_000_000; print(len(kept), flush=True); input()"]
    with subprocess.Popen(eater, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        numbers = process_numbers((process.pid,))
        both = process_numbers((process.pid, os.getpid(), 999_999_999))
        process.communicate(b"\n")
    assert tuple(numbers) == PROCESS_NUMBERS
    assert 50_000_000 < numbers["memory_bytes"] < 120_000_000
    assert numbers["threads"] == 1
    assert 3 <= numbers["open_files"] < 20
    assert 0 <= numbers["cpu_seconds"] < BOUND_S
    assert both["threads"] > numbers["threads"]
    assert process_numbers((999_999_999,)) == {}


def test_what_a_replica_started_counts_with_it() -> None:
    shell = ["sh", "-c", "sleep 30 & echo ready; read word; kill $!"]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        members = _sessions()[process.pid]
        numbers = process_numbers(members)
        process.communicate(b"end\n")
    assert len(members) == 2
    assert numbers["threads"] == 2


def test_a_command_may_hold_parentheses_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "5" / "fd").mkdir(parents=True)
    fields = ["S", "1", *["0"] * 9, "100", "50", "30", "20", "0", "0", "4", "0", "1", "0", "10", *["0"] * 20]
    (tmp_path / "5" / "stat").write_text(f"5 (a) b ( c) {' '.join(fields)}\n")
    ticks = os.sysconf("SC_CLK_TCK")
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    assert process_numbers((5,), tmp_path) == {
        "memory_bytes": 10 * page_bytes, "cpu_seconds": 200 / ticks, "threads": 4, "open_files": 0,
    }  # fmt: skip
