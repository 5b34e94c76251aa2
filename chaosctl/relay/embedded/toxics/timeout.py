"""timeout: nothing passes, and the connection is closed after `timeout` ms; 0 keeps it open."""

from __future__ import annotations

from chaosctl.relay.embedded.loop import Timer
from chaosctl.relay.embedded.toxics.stage import End, Item, Stage


class Timeout(Stage):
    """Drops data. The time counts from the start of the toxic, whatever is sent meanwhile."""

    _timer: Timer | None = None

    def start(self) -> None:
        if after_ms := self.attributes["timeout"]:
            self._timer = self.loop.call_in(after_ms, lambda: self.next.push(End.CUT))

    def push(self, item: Item) -> None:
        if isinstance(item, End):
            self.next.push(item)

    def updated(self) -> None:
        self.stop()
        self.start()

    def drain(self) -> None:
        self.stop()
        self.next.push(End.CUT)  # bytes are missing from the stream: it must not go on

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
