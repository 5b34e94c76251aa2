"""slow_close: the end of the stream arrives `delay` ms later than the data before it."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.stage import End, Item, WaitingStage


class SlowClose(WaitingStage):
    """Passes data at once and keeps the end back."""

    def due_ns(self, now_ns: int, arrived_ns: int, item: Item) -> int:
        return arrived_ns + self.attributes["delay"] * 1_000_000 if isinstance(item, End) else now_ns
