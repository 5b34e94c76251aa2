"""What the swarm is told before it starts, as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SwarmConfig:
    """One swarm.

    `bundle` is the run's folder, `bots_file` an absolute path, `bots_class` None for all User classes of the file,
    `addresses` the `host:port` that each cohort may connect to, `bots` are (name, cohort, seed). `rate_per_s` and
    `options` go to the bots as they are; `origin_monotonic_ns` is the zero of all recorded times.
    """

    run_id: str
    bundle: str
    origin_monotonic_ns: int
    bots_file: str
    bots_class: str | None
    addresses: Mapping[str, tuple[str, ...]]
    bots: tuple[tuple[str, str, str], ...]
    rate_per_s: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 1
    seed: int = 0

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> SwarmConfig:
        """Return what `to_json` wrote."""
        return cls.from_data(json.loads(text))

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> SwarmConfig:
        """Return it from parsed JSON, where tuples are lists."""
        return cls(
            **{
                **data,
                "addresses": {cohort: tuple(addresses) for cohort, addresses in data["addresses"].items()},
                "bots": tuple((name, cohort, seed) for name, cohort, seed in data["bots"]),
            }
        )
