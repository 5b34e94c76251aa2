"""Experiments made of data, without a file: for laws that must hold for any of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from pydantic import Field

from chaosctl.experiment.fingerprint import fingerprint
from chaosctl.experiment.kinds import FaultKind, FaultKinds, Params
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Cohort, Experiment, Link, Probe, Service, Stage, Swarm, Target, TimelineItem
from chaosctl.experiment.units import DurationNs

S = 1_000_000_000


class LatencyFault(Params):
    latency_ns: DurationNs = Field(alias="latency", description="The added delay")
    jitter_ns: DurationNs = Field(default=0, alias="jitter", description="Its spread")


class Nothing(Params):
    pass


class Recovery(Params):
    serviceable_ns: DurationNs = Field(alias="serviceable", description="Until players play again")
    names: tuple[str, ...] = Field(default=("a",), description="Some names")


FAULTS: FaultKinds = {
    "latency": FaultKind("latency", "link", LatencyFault, "always", "delay", "Delays", "{ fault: latency }"),
    "kill": FaultKind("kill", "service", Nothing, "optional", "life", "SIGKILL", "{ fault: kill }"),
}

SERVICES = {
    "world": Service(run=("world",), ports=("main", "status"), needs=("ledger",)),
    "gateway": Service(run=("gateway",), ports=("main",), replicas=2, needs=("world",)),
    "ledger": Service(run=("ledger",), ports=("main",)),
    "auth": Service(run=("auth",), needs=("ledger",)),
}
LINKS = {
    "gateway-world": Link(from_service="gateway", to="world", port="status"),
    "bots-gateway": Link(to="gateway"),
}


def load(
    *,
    users: int = 10,
    shares: dict[str, float] | None = None,
    items: tuple[tuple[str, int, int | None], ...] = (("latency", 0, 6 * S), ("kill", 12 * S, None)),
    stages: tuple[Stage, ...] = (),
    through: str | None = None,
) -> Loaded:
    """Return an experiment of 2 s ramp, 5 s baseline, 40 s timeline. `items` are (kind, at, for) in nanoseconds."""
    cohorts = {name: Cohort(share=share, latency_ns=len(name) * 1000) for name, share in (shares or {}).items()}
    experiment = Experiment(
        name="world-crash",
        hypothesis="Players play again",
        target=Target(services=SERVICES, links=LINKS),
        swarm=Swarm(bots="bots.py", users=users, ramp_ns=2 * S, stages=stages, cohorts=cohorts),
        probe=Probe(through=through),
        baseline_ns=5 * S,
        duration_ns=40 * S,
        timeline=tuple(
            TimelineItem(fault=kind, at_ns=at_ns, for_ns=for_ns, on="gateway-world" if kind == "latency" else "world")
            for kind, at_ns, for_ns in items
        ),
    )
    params = tuple(
        LatencyFault(latency_ns=80_000_000) if item.fault == "latency" else Nothing() for item in experiment.timeline
    )
    objectives = {"recovery": Recovery(serviceable_ns=3 * S)}
    mark = fingerprint(experiment, params, objectives)
    return Loaded(experiment, "", Path("x.yaml"), Path(), objectives, params, mark)


@st.composite
def any_loaded(draw: st.DrawFn) -> Loaded:
    """Draw experiments of any number of users, cohorts, stages and faults."""
    names = draw(st.lists(st.sampled_from(["near", "far", "mobile", "lan", "all-others"]), unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 1000), min_size=len(names), max_size=len(names))))
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, 1000], strict=True)]
    shares = (
        {name: part / 1000 for name, part in zip(names, [*parts[1:-1], parts[-1] + parts[0]], strict=True)}
        if names
        else None
    )
    items = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("latency"), st.integers(0, 39 * S), st.integers(1, S)),
                st.tuples(st.just("kill"), st.integers(0, 39 * S), st.none() | st.integers(1, S)),
            ),
            max_size=12,
        )
    )
    times = sorted(draw(st.lists(st.integers(2 * S, 46 * S), max_size=4, unique=True)))
    stages = tuple(Stage(at_ns=at_ns, users=draw(st.integers(0, 300))) for at_ns in times)
    return load(users=draw(st.integers(1, 300)), shares=shares, items=tuple(items), stages=stages)


@pytest.fixture
def faults() -> FaultKinds:
    """Return the kinds that the drawn experiments use."""
    return FAULTS


@pytest.fixture
def loaded() -> Callable[..., Loaded]:
    """Return how to make one experiment."""
    return load


@pytest.fixture
def experiments() -> st.SearchStrategy[Loaded]:
    """Return the strategy of all experiments, for `data.draw`."""
    return any_loaded()
