"""Writes what happens into the bundle and shows it to the view. A disk that refuses ends the run, not the teardown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from chaosctl.errors import RecordingError
from chaosctl.recording.writer import EventWriter, RunWriter


class View(Protocol):
    """Whoever watches a run. Called from several threads; must return at once."""

    def on_event(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        """See one event of `recording.model`, or a `probe` line of rates, at a run time."""
        ...


class Journalist:
    """The one way from the runner to events.jsonl. `on_refused` is called once if it cannot write."""

    def __init__(self, events: EventWriter, view: View, on_refused: Callable[[str], None]) -> None:
        self._events = events
        self._view = view
        self._on_refused = on_refused
        self._refused = threading.Event()

    def record(self, event: str, /, **fields: Any) -> None:
        """Record one event, at its `at_ns` if it has one."""
        at_ns = int(fields.pop("at_ns", time.monotonic_ns() - self._events.origin_ns))
        try:
            self._events.write(event, at_ns=at_ns, **fields)
        except RecordingError as error:
            if not self._refused.is_set():
                self._refused.set()
                self._on_refused(str(error))
        self._view.on_event(event, fields, at_ns)

    def end(self, writer: RunWriter, reason: str, why: str) -> None:
        """Seal the bundle and say how the run ended; a disk that refuses even that leaves it without an end."""
        try:
            writer.end(reason, why or None)
        except RecordingError as error:
            self._on_refused(str(error))
        self._view.on_event("run_ended", {"reason": reason, "error": why}, time.monotonic_ns() - writer.origin_ns)

    def pass_on(self, message: Mapping[str, Any]) -> None:
        """Record a line of a child process: `{"event": ..., ...}`. Rates of the probe are shown, not kept."""
        fields = dict(message)
        event = str(fields.pop("event"))
        if event == "probe":
            self._view.on_event(event, fields, time.monotonic_ns() - self._events.origin_ns)
        else:
            self.record(event, **fields)
