"""One connection through a proxy: a client's socket, an upstream's socket, a pipe each way."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from chaosctl.relay.embedded.loop import Loop
from chaosctl.relay.embedded.peer import Peer
from chaosctl.relay.embedded.pipe import Pipe, Traffic
from chaosctl.relay.embedded.toxics import TOXICS
from chaosctl.relay.embedded.toxics.stage import End, Stage

STREAMS = ("upstream", "downstream")


@dataclass(eq=False)
class ToxicSetting:
    """A toxic of a proxy, as the API has it. The stages of all connections read the same `attributes`."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """Return it as the API shows it."""
        return {
            "attributes": self.attributes,
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": self.toxicity,
        }


@dataclass(frozen=True)
class Luck:
    """Where the random draws of a connection come from: the same names and seed give the same draws."""

    seed: int
    proxy: str
    connection: int

    def source(self, toxic: str) -> random.Random:
        """Return the random source of one toxic on this connection."""
        return random.Random(f"{self.seed}:{self.proxy}:{self.connection}:{toxic}")


@dataclass(eq=False)
class _Fitted:
    """A toxic on one connection: what it drew against its toxicity, and what it does there."""

    setting: ToxicSetting
    draw: float
    rng: random.Random
    stage: Stage = field(init=False)

    @property
    def acts(self) -> bool:
        return self.draw < self.setting.toxicity


class Link:
    """Carries one connection until both of its pipes are done, or it is cut."""

    def __init__(
        self, loop: Loop, client: socket.socket, upstream: socket.socket, traffic: dict[str, Traffic], luck: Luck
    ) -> None:
        self._loop = loop
        self._luck = luck
        self._closed = False
        self.on_closed: Callable[[], None] = lambda: None
        self._client, self._upstream = Peer(loop, client), Peer(loop, upstream)
        self._pipes = {
            "upstream": Pipe(self._client, self._upstream, traffic["upstream"], self._on_end),
            "downstream": Pipe(self._upstream, self._client, traffic["downstream"], self._on_end),
        }
        self._fitted: dict[str, list[_Fitted]] = {"upstream": [], "downstream": []}

    def start(self, settings: list[ToxicSetting]) -> None:
        """Begin to carry, under these toxics."""
        for setting in settings:
            self.add(setting)
        for pipe in self._pipes.values():
            pipe.rewire()

    def add(self, setting: ToxicSetting) -> None:
        """Put a toxic at the end of its stream's chain."""
        rng = self._luck.source(setting.name)
        fitted = _Fitted(setting, rng.random(), rng)
        self._fitted[setting.stream].append(fitted)
        self._fit(fitted)

    def update(self, setting: ToxicSetting) -> None:
        """Act on a toxic whose attributes or toxicity have changed."""
        for fitted in self._fitted[setting.stream]:
            if fitted.setting is setting:
                if fitted.acts == (type(fitted.stage) is not Stage):
                    fitted.stage.updated()
                else:
                    fitted.stage.drain()
                    self._fit(fitted)

    def remove(self, setting: ToxicSetting) -> None:
        """Take a toxic out; what it held goes on at once."""
        fitted = next(fitted for fitted in self._fitted[setting.stream] if fitted.setting is setting)
        fitted.stage.drain()
        self._fitted[setting.stream].remove(fitted)
        self._rewire(setting.stream)

    def close(self, *, reset: bool = False) -> None:
        """Close both sockets now; what was under way is lost."""
        if self._closed:
            return
        self._closed = True
        for pipe in self._pipes.values():
            pipe.stop()
        self._client.close(reset=reset)
        self._upstream.close(reset=reset)
        self.on_closed()

    def _fit(self, fitted: _Fitted) -> None:
        kind = TOXICS[fitted.setting.type][0] if fitted.acts else Stage
        pipe = self._pipes[fitted.setting.stream]
        fitted.stage = kind(self._loop, pipe, fitted.setting.attributes, fitted.rng)
        self._rewire(fitted.setting.stream)
        fitted.stage.start()

    def _rewire(self, stream: str) -> None:
        if not self._closed:
            self._pipes[stream].stages = [fitted.stage for fitted in self._fitted[stream]]
            self._pipes[stream].rewire()

    def _on_end(self, end: End) -> None:
        if end is not End.HALF_CLOSE:
            self.close(reset=end is End.RESET)
        elif all(pipe.done for pipe in self._pipes.values()):
            self.close()
