"""latency: everything arrives `latency` ± `jitter` ms later, in order."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.stage import Item, WaitingStage


class Latency(WaitingStage):
    """Delays each item from its own arrival, so that a stream keeps its rate. The end of the stream is delayed too."""

    def due_ns(self, now_ns: int, arrived_ns: int, item: Item) -> int:
        delay_ms: float = self.attributes["latency"]
        if jitter_ms := self.attributes["jitter"]:
            delay_ms += self.rng.uniform(-jitter_ms, jitter_ms)
        return arrived_ns + int(delay_ms * 1e6)
