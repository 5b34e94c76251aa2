"""The probe's process: `python -m chaosctl.probe`, told what to do by one JSON line. Not for people.

It ends when its standard input does, with everything recorded that was scheduled.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaosctl.errors import ChaosctlError
from chaosctl.probe.asking import NO_END_NS, Answered, Route, keep_asking
from chaosctl.probe.config import ProbeConfig
from chaosctl.probe.totals import keep_observing
from chaosctl.recording.model import Outcome
from chaosctl.recording.writer import SampleWriter

REPORT_S = 1.0


def emit(message: Mapping[str, Any]) -> None:
    """Send one message to the orchestrator: a whole line in one write, so that threads may share the pipe."""
    # Where it was killed, what was asked is recorded all the same: the end of standard input ends us in order.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message, separators=(",", ":")).encode() + b"\n")


class Record:
    """What the probe writes: a file of samples for each route, and a line of counts a second."""

    def __init__(self, config: ProbeConfig) -> None:
        self._config = config
        folder = Path(config.bundle) / "samples"
        self._writers = {
            route: SampleWriter(folder / f"probe-{route}.arrow", open_loop=True) for route in config.routes
        }
        self._clear()

    def add(self, answered: Answered) -> None:
        """Record what became of one question. Raises RecordingError."""
        question, origin_ns = answered.question, self._config.origin_monotonic_ns
        self._writers[question.route].add(
            question.intended_ns - origin_ns,
            answered.sent_ns - origin_ns,
            NO_END_NS if answered.end_ns == NO_END_NS else answered.end_ns - origin_ns,
            answered.outcome,
            f"{self._config.service}[{question.replica}]",
            "probe",
            question.route,
            answered.error,
        )
        if answered.outcome is Outcome.OK:
            self._latencies_ms[question.route].append((answered.end_ns - question.intended_ns) / 1e6)
        else:
            self._failed[question.route] += 1

    def report(self) -> None:
        """Flush, and emit the counts since the last report. Raises RecordingError."""
        for route, latencies_ms in self._latencies_ms.items():
            latencies_ms.sort()
            median = round(latencies_ms[len(latencies_ms) // 2], 3) if latencies_ms else None
            failed = self._failed[route]
            emit({"event": "probe", "route": route, "ok": len(latencies_ms), "failed": failed, "p50_ms": median})
            self._writers[route].flush()
        self._clear()

    def _clear(self) -> None:
        self._latencies_ms: dict[str, list[float]] = {route: [] for route in self._config.routes}
        self._failed = dict.fromkeys(self._config.routes, 0)

    def close(self) -> None:
        """Flush and close. Raises RecordingError."""
        for writer in self._writers.values():
            writer.close()


def run(config: ProbeConfig, stop: threading.Event) -> None:
    """Ask, observe and record until `stop`. Raises RecordingError."""
    answers: queue.Queue[Answered] = queue.Queue()
    record = Record(config)
    routes: tuple[Route, ...] = ()
    if (hello := config.hello) is not None:
        routes = tuple(
            Route(name, addresses, hello, config.timeout_ns, answers.put) for name, addresses in config.routes.items()
        )
    origin_ns = config.origin_monotonic_ns
    asker = threading.Thread(target=keep_asking, args=(routes, origin_ns, config.every_ns, stop), daemon=True)
    asker.start()
    for source in config.totals:
        threading.Thread(
            target=keep_observing, args=(source, origin_ns, config.totals_every_ns, emit, stop), daemon=True
        ).start()
    emit({"event": "ready"})
    _record_until(stop, answers, record)
    asker.join()
    for route in routes:
        route.end()
    while not answers.empty():
        record.add(answers.get())
    record.report()
    record.close()


def _record_until(stop: threading.Event, answers: queue.Queue[Answered], record: Record) -> None:
    due_s = time.monotonic() + REPORT_S
    while not stop.is_set():
        with contextlib.suppress(queue.Empty):
            record.add(answers.get(timeout=min(0.05, max(0.001, due_s - time.monotonic()))))
        if time.monotonic() >= due_s:
            due_s += REPORT_S
            record.report()


def main() -> int:
    """Read the configuration, probe until the end of standard input, and return the exit code."""
    stop = threading.Event()
    config = ProbeConfig.from_data(json.loads(sys.stdin.buffer.readline()))

    def watch() -> None:
        while sys.stdin.buffer.readline():
            pass
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        run(config, stop)
    except ChaosctlError as error:
        emit({"event": "crashed", "part": "probe", "why": str(error)})
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    code = main()
    # Not sys.exit: questions that are still out must not hold it up.
    os._exit(code)
