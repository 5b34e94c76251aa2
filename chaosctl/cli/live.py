"""Watching a run: a live picture on a terminal, plain lines in CI, or nothing.

The runner calls `on_event` from several threads. It only puts the event into a queue; one thread of the view takes
them out, folds them into a `LiveState`, and draws. Whatever happens to the terminal, the run goes on undisturbed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from chaosctl.cli.live_picture import clock, picture, printable, status_line
from chaosctl.cli.live_state import UNSAID, LiveState, sentence
from chaosctl.experiment.units import NS_PER_S
from chaosctl.plan.model import Plan

REFRESH_S = 0.2
STATUS_EVERY_NS = 5 * NS_PER_S
STOP_WITHIN_S = 2.0

Mode = Literal["live", "plain", "quiet"]
Seen = tuple[str, Mapping[str, Any], int]


class View(Protocol):
    """What shows a run to a person."""

    def start(self) -> None:
        """Begin to show. Call once."""
        ...

    def on_event(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        """Take in an event at a run time. Any thread may call it; it never blocks and never raises."""
        ...

    def stop(self) -> None:
        """Show what is left, give the terminal back, end. May be called again."""
        ...


def make_view(plan: Plan, console: Console, mode: Mode) -> View:
    """Return the view for a mode. `live` needs a terminal; where there is none, it is `plain`."""
    if mode == "quiet":
        return QuietView()
    if mode == "live" and console.is_terminal:
        return LiveView(plan, console)
    return PlainView(plan, console)


class QuietView:
    """Shows nothing."""

    def start(self) -> None:
        """Nothing to begin."""

    def on_event(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        """Look away."""

    def stop(self) -> None:
        """Nothing to end."""


class _Threaded:
    """A queue, and a thread that empties it a few times a second and then draws."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        self.state = LiveState()
        self._queue: SimpleQueue[Seen] = SimpleQueue()
        self._origin_ns: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)

    def start(self) -> None:
        """Begin to show."""
        self._thread.start()

    def on_event(self, event: str, fields: Mapping[str, Any], at_ns: int) -> None:
        """Put the event aside for the view's own thread."""
        if self._origin_ns is None:
            self._origin_ns = time.monotonic_ns() - at_ns
        self._queue.put((event, fields, at_ns))

    def stop(self) -> None:
        """Show what is left and end the thread; a terminal that hangs is left to itself."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN_S)

    def now_ns(self) -> int:
        """Return the run time, 0 until the first event has said what it is."""
        return 0 if self._origin_ns is None else time.monotonic_ns() - self._origin_ns

    def taken(self) -> Iterator[Seen]:
        """Yield the events that have come, after taking each into the state."""
        while True:
            try:
                seen = self._queue.get_nowait()
            except Empty:
                return
            self.state.apply(*seen)
            yield seen

    def _run(self) -> None:
        try:
            self.draw_until(self._stop)
        except (OSError, ValueError):
            return  # the terminal is gone, or closed: nobody looks any more, and the run must not notice

    def draw_until(self, stop: threading.Event) -> None:
        """Draw until told to stop, and once more."""
        raise NotImplementedError


class LiveView(_Threaded):
    """A picture that is drawn again in place, as high as the terminal allows."""

    def draw_until(self, stop: threading.Event) -> None:
        """Draw five times a second; the picture is gone afterwards, since the summary follows."""
        size = self.console.size
        with Live(self._picture(), console=self.console, auto_refresh=False, transient=True) as live:
            while not stop.wait(REFRESH_S):
                if self.console.size != size:
                    size = self.console.size
                    self.console.clear()  # lines that were wrapped anew cannot be drawn over
                live.update(self._picture(), refresh=True)

    def _picture(self) -> Text:
        for _ in self.taken():
            pass
        return picture(self.plan, self.state, self.now_ns(), self.console)


class PlainView(_Threaded):
    """A line an event, and every 5 s of load a line of rates."""

    def draw_until(self, stop: threading.Event) -> None:
        """Print what has come five times a second, and what is left at the end."""
        due_ns = STATUS_EVERY_NS
        while True:
            last = stop.wait(REFRESH_S)
            for event, fields, at_ns in self.taken():
                if event not in UNSAID:
                    self._say(at_ns, sentence(event, fields))
            if self.now_ns() >= due_ns:
                due_ns = self.now_ns() + STATUS_EVERY_NS
                if self.state.workers:
                    self._say(self.now_ns(), status_line(self.state))
            if last:
                return

    def _say(self, at_ns: int, words: str) -> None:
        self.console.print(Text(printable(f"{clock(at_ns)}  {words}", self.console.encoding)), soft_wrap=True)
