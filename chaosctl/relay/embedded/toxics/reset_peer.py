"""reset_peer: nothing passes, and the connection is reset (TCP RST on both sides) after `timeout` ms."""

from __future__ import annotations

from chaosctl.relay.embedded.loop import Timer
from chaosctl.relay.embedded.toxics.stage import End, Item, Stage


class ResetPeer(Stage):
    """Drops data. The time counts from the start of the toxic, so that idle sessions are reset as well."""

    _timer: Timer | None = None
    _has_dropped = False

    def start(self) -> None:
        self._timer = self.loop.call_in(self.attributes["timeout"], lambda: self.next.push(End.RESET))

    def push(self, item: Item) -> None:
        self._has_dropped = True

    def updated(self) -> None:
        self.stop()
        self.start()

    def drain(self) -> None:
        self.stop()
        if self._has_dropped:
            self.next.push(End.RESET)  # bytes are missing from the stream: it must not go on

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
