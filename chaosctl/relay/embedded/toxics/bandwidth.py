"""bandwidth: at most `rate` KB/s (1 KB = 1000 bytes); 0 stalls without loss."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.stage import NEVER_NS, End, Item, WaitingStage

# Data leaves in pieces of at most this long, so that a slow link trickles instead of bursting.
PIECE_MS = 100


class Bandwidth(WaitingStage):
    """Lets a piece go when the wire would have carried it: size / rate after the wire became free."""

    free_ns = 0

    def due_ns(self, now_ns: int, arrived_ns: int, item: Item) -> int:
        if isinstance(item, End):
            return now_ns
        rate = self.attributes["rate"]  # KB/s, which are bytes a millisecond
        if rate == 0:
            return NEVER_NS
        size = min(len(item), rate * PIECE_MS)
        self.free_ns = max(self.free_ns, arrived_ns) + size * 1_000_000 // rate
        return self.free_ns

    def take(self, now_ns: int) -> Item:
        return self.pop(self.attributes["rate"] * PIECE_MS)

    def updated(self) -> None:
        self.free_ns = self.loop.now_ns()
        super().updated()
