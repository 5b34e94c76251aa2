"""An experiment whose parts have been checked one by one: what the semantic checks look at.

A part that is there but wrong in itself is None: it can be referred to, but nothing more is said about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaosctl.experiment.compose_target import Compose
from chaosctl.experiment.kinds import Params
from chaosctl.experiment.model import BlastRadius, Chaos, ChaosFault, Cohort, Link, Probe, Service, Swarm, TimelineItem


@dataclass(frozen=True)
class Draft:
    """The parts of an experiment, each None where its shape is wrong. `driver` is as written."""

    services: Mapping[str, Service | None]
    links: Mapping[str, Link | None]
    cohorts: Mapping[str, Cohort | None]
    swarm: Swarm | None
    probe: Probe | None
    items: tuple[TimelineItem | None, ...]
    objectives: Mapping[str, Params | None]
    baseline_ns: int | None
    duration_ns: int | None
    blast_radius: BlastRadius | None = None
    fault_params: tuple[Params | None, ...] = ()
    chaos: Chaos | None = None
    chaos_items: tuple[ChaosFault | None, ...] = ()
    chaos_params: tuple[Params | None, ...] = ()
    driver: str = "process"
    compose: Compose | None = None

    @property
    def is_attached(self) -> bool:
        """Whether the services are containers of a compose project that is running already."""
        return self.driver == "compose" and self.compose is not None and self.compose.attach

    @property
    def starting_at_bots(self) -> Mapping[str, Link]:
        """The links that start at the bots."""
        return {name: link for name, link in self.links.items() if link is not None and link.from_service is None}
