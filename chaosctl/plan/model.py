"""Stage 2: what will be done, as plain data, computed whole before anything runs.

Times are nanoseconds since the start of the load (ramp, then baseline, then the timeline). Ports and process ids are
not in it: they are known only when the deployment is up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chaosctl.experiment.groups import ask_roles
from chaosctl.experiment.places import parse_on

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Phase:
    """A stretch of the load: `ramp`, `baseline`, `timeline`."""

    name: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class PlannedFault:
    """One fault. `id` is unique and readable: `f1-latency`. `on` is where it acts: as the experiment wrote it, or what
    was drawn (`gateway[1]`) where it leaves that to chance; then `asked` is what it wrote (`any 1 of gateway`).
    A role (`leader of world`) stands in `on` as it is: who has it is known only when the fault is due.

    `params` are JSON-able and in the fault kind's attribute names (`latency_ns`), ready for `kind.params(**params)`.
    `heal_ns` is None for what happens at one moment. `origin` is where the experiment has it: `timeline[0]`,
    `chaos.faults[1]`.
    """

    id: str
    kind: str
    acts_on: Literal["link", "service"]
    on: str
    params: Mapping[str, Any]
    inject_ns: int
    heal_ns: int | None
    asked: str | None = None
    origin: str = ""

    @property
    def by_role(self) -> bool:
        """Whether where it acts is known only when it is due."""
        return parse_on(self.on).role is not None or ask_roles(self.params.get("groups") or ())


@dataclass(frozen=True)
class Step:
    """One thing to do on the clock. The last step of every plan is `heal_all` (fault None)."""

    at_ns: int
    do: Literal["inject", "heal", "heal_all", "users"]
    fault: str | None = None
    users: int | None = None
    over_ns: int | None = None


@dataclass(frozen=True)
class PlannedProxy:
    """One relay listener: a link, to one replica, for one cohort (None on links between services). `listen` is its
    address where the experiment fixes that, None where the relay chooses a port."""

    name: str
    link: str
    cohort: str | None
    to_service: str
    to_replica: int
    to_port: str
    latency_ns: int = 0
    jitter_ns: int = 0
    bandwidth_bytes_per_s: int | None = None
    listen: str | None = None


@dataclass(frozen=True)
class PlannedBot:
    """One bot: `near-17`, its cohort, and the seed of its own random source."""

    name: str
    cohort: str
    seed: str


@dataclass(frozen=True)
class Plan:
    """Everything that will happen. `objectives` are validated params by objective name, JSON-able."""

    schema_version: int
    experiment: str
    hypothesis: str
    fingerprint: str
    seed: int
    phases: tuple[Phase, ...]
    faults: tuple[PlannedFault, ...]
    steps: tuple[Step, ...]
    proxies: tuple[PlannedProxy, ...]
    bots: tuple[PlannedBot, ...]
    start_order: tuple[str, ...]
    bots_link: str
    probe_link: str
    probe_every_ns: int
    probe_timeout_ns: int
    objectives: Mapping[str, Mapping[str, Any]]

    @property
    def end_ns(self) -> int:
        """When the load ends."""
        return self.phases[-1].end_ns
