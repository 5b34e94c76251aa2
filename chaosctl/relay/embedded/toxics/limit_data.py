"""limit_data: the connection is closed once `bytes` bytes have passed."""

from __future__ import annotations

from chaosctl.relay.embedded.toxics.stage import End, Item, Stage


class LimitData(Stage):
    """Passes bytes up to the limit and cuts the connection behind the last one."""

    _passed = 0

    def push(self, item: Item) -> None:
        if isinstance(item, End):
            self.next.push(item)
            return
        piece = item[: max(0, self.attributes["bytes"] - self._passed)]
        if piece:
            self._passed += len(piece)
            self.next.push(piece)
        if self._passed >= self.attributes["bytes"]:
            self.next.push(End.CUT)
