"""What the probe is told before it starts, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from chaosctl.experiment.model import Hello


@dataclass(frozen=True)
class TotalsSource:
    """Where to ask `service` for its totals: a whole URL, or a command. Exactly one. Both give a JSON object."""

    service: str
    http: str | None = None
    command: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ProbeConfig:
    """One probe.

    `routes` are the `host:port` of each replica by route (`relay`, `direct`); the k-th address belongs to the replica
    `service[k]`. Each `every_ns`, on a grid that counts from `origin_monotonic_ns`, one question goes through each
    route, to one replica after the other. `hello` None: no questions, only totals.
    """

    run_id: str
    bundle: str
    origin_monotonic_ns: int
    service: str
    hello: Hello | None
    routes: Mapping[str, tuple[str, ...]]
    every_ns: int = 50_000_000
    timeout_ns: int = 1_000_000_000
    totals: tuple[TotalsSource, ...] = ()
    totals_every_ns: int = field(default=250_000_000)

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps({**asdict(self), "hello": self.hello and self.hello.model_dump()}, separators=(",", ":"))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ProbeConfig:
        """Return it from parsed JSON, where tuples are lists."""
        totals = tuple(
            TotalsSource(one["service"], one["http"], one["command"] and tuple(one["command"]))
            for one in data["totals"]
        )
        hello = data["hello"] and Hello.model_validate(data["hello"])
        routes = {route: tuple(addresses) for route, addresses in data["routes"].items()}
        return cls(**{**data, "hello": hello, "routes": routes, "totals": totals})
