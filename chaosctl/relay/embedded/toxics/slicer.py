"""slicer: data leaves in slices of `average_size` ± `size_variation` bytes, `delay` µs after each."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.stage import Item, WaitingStage


class Slicer(WaitingStage):
    """Cuts slices off the head one at a time, so that a large chunk never becomes thousands of items at once."""

    free_ns = 0

    def due_ns(self, now_ns: int, arrived_ns: int, item: Item) -> int:
        return max(now_ns, self.free_ns)

    def take(self, now_ns: int) -> Item:
        variation = self.attributes["size_variation"]
        size = self.attributes["average_size"] + self.rng.randint(-variation, variation)
        self.free_ns = now_ns + self.attributes["delay"] * 1000
        return self.pop(size)
