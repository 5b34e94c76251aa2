"""Stop conditions at work: each in a thread of its own beside the clock of the faults, until the load is over."""

from __future__ import annotations

import http.client
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from os import killpg
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from chaosctl.clock import Clock
from chaosctl.experiment.stop_condition import NUMBERS, StopCondition
from chaosctl.runner.live_numbers import AFTER_RAMP, Answer, Report, exceeded, report_of, unhealthy

PAGE_WITHIN_S = 2.0
COMMAND_WITHIN_S = 10.0
LONGEST_SAID = 200


@dataclass(frozen=True)
class StopConditions:
    """What may end the run early. `folder` is that of the experiment, `environ` the run's, `origin_ns` its start.

    `on_held` is called from a thread, at most once by each condition, with a sentence that has its number.
    """

    conditions: Sequence[StopCondition]
    folder: Path
    environ: Mapping[str, str]
    clock: Clock
    origin_ns: int
    on_held: Callable[[str], None]
    _reports: SimpleQueue[Report | None] = field(default_factory=SimpleQueue)

    def take(self, message: Mapping[str, Any]) -> None:
        """Take in a line of a child process. Returns at once."""
        if message.get("event") == "generator" and self._on_numbers():
            self._reports.put(report_of(message))

    @contextmanager
    def during(self, start_ns: int, ramp_ns: int) -> Iterator[None]:
        """Look from `start_ns` (on the clock) until the end of the block. Nothing is said after that."""
        over = threading.Event()
        for condition in self.conditions:
            if condition.way not in NUMBERS:
                look = self._watch_page if condition.http is not None else self._watch_command
                self._start(look, condition, start_ns, over)
        if self._on_numbers():
            self._start(self._watch_numbers, start_ns - self.origin_ns, ramp_ns, over)
        try:
            yield
        finally:
            over.set()
            self._reports.put(None)

    def _on_numbers(self) -> list[StopCondition]:
        return [condition for condition in self.conditions if condition.way in NUMBERS]

    def _start(self, look: Callable[..., None], *about: Any) -> None:
        threading.Thread(target=look, args=about, name="stop condition", daemon=True).start()

    def _watch_numbers(self, start_ns: int, ramp_ns: int, over: threading.Event) -> None:
        kept: deque[Report] = deque()
        conditions = self._on_numbers()
        longest_ns = max(condition.over_ns for condition in conditions)
        while (report := self._reports.get()) is not None and not over.is_set():
            kept.append(report)
            # As long again: a worker's last word may be from before the window.
            while kept[0].at_ns < report.at_ns - 2 * longest_ns:
                kept.popleft()
            for condition in conditions:
                since_ns = start_ns + (ramp_ns if condition.way in AFTER_RAMP else 0)
                if found := exceeded(condition, tuple(kept), since_ns):
                    self._say(condition, found, over)
                    return

    def _watch_page(self, condition: StopCondition, due_ns: int, over: threading.Event) -> None:
        answers: list[Answer] = []
        while self.clock.sleep_until(due_ns, over):
            asked_ns = self.clock.now_ns()
            healthy, text = ask_page(str(condition.http), PAGE_WITHIN_S)
            answers = [] if healthy else [*answers, Answer(asked_ns, self.clock.now_ns(), healthy, text)]
            if found := unhealthy(condition, answers):
                self._say(condition, found, over)
                return
            due_ns = max(due_ns + condition.every_ns, self.clock.now_ns())

    def _watch_command(self, condition: StopCondition, due_ns: int, over: threading.Event) -> None:
        while self.clock.sleep_until(due_ns, over):
            if objection := ask_command(condition.command or (), self.folder / condition.folder, self.environ):
                self._say(condition, objection, over)
                return
            due_ns = max(due_ns + condition.every_ns, self.clock.now_ns())

    def _say(self, condition: StopCondition, found: str, over: threading.Event) -> None:
        if not over.is_set():
            self.on_held(f"{condition}: {found}")


def ask_page(url: str, within_s: float) -> tuple[bool, str]:
    """Return whether GET answers 2xx, and what it answered. Redirects are not followed."""
    parts = urlsplit(url)
    of_scheme = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = of_scheme[parts.scheme](str(parts.hostname), parts.port, timeout=within_s)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "chaosctl"})
        response = connection.getresponse()
        return 200 <= response.status < 300, f"{response.status} {response.reason}".rstrip()
    except TimeoutError:
        return False, f"no answer within {within_s:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()


def ask_command(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], within_s: float = COMMAND_WITHIN_S
) -> str:
    """Run it and return what it objects to; nothing when it exits with 0. One that cannot say so objects, too."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"it cannot be started: {getattr(error, 'strerror', None) or error}"
    with process:
        try:
            output, _ = process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                killpg(process.pid, signal.SIGKILL)
            return f"it did not end within {within_s:g} s"
    if process.returncode == 0:
        return ""
    said = output.decode(errors="replace").strip().rpartition("\n")[2][:LONGEST_SAID]
    how = f"exited with {process.returncode}" if process.returncode > 0 else f"ended by signal {-process.returncode}"
    return f"{how}{f' and said: {said}' if said else ''}"
