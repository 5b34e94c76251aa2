"""What the processes beside the target are told: the swarm, the probe. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from chaosctl.deploy.contract import Driver, Replica
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Ask, Target
from chaosctl.plan.model import Plan
from chaosctl.probe.config import ProbeConfig, TotalsSource
from chaosctl.runner.links import LinkProxy, cohort_addresses, hello_for, probed_proxies
from chaosctl.swarm.config import SwarmConfig


def swarm_config(
    loaded: Loaded, plan: Plan, run_id: str, proxies: Sequence[LinkProxy], bundle: Path, origin_ns: int
) -> SwarmConfig:
    """Return what the swarm is told."""
    swarm = loaded.experiment.swarm
    file, _, bots_class = swarm.bots.partition(":")
    return SwarmConfig(
        run_id=run_id,
        bundle=str(bundle.absolute()),
        origin_monotonic_ns=origin_ns,
        bots_file=str((loaded.folder / file).absolute()),
        bots_class=bots_class or None,
        addresses=cohort_addresses(proxies, plan.bots_link),
        bots=tuple((bot.name, bot.cohort, bot.seed) for bot in plan.bots),
        rate_per_s=swarm.rate_per_s,
        options=swarm.options,
        workers=swarm.workers,
        seed=plan.seed,
    )


def probe_config(
    loaded: Loaded,
    plan: Plan,
    run_id: str,
    driver: Driver,
    replicas: Sequence[Replica],
    proxies: Sequence[LinkProxy],
    bundle: Path,
    origin_ns: int,
) -> ProbeConfig:
    """Return what the probe is told: the probed link's service, through the relay and beside it."""
    target = loaded.experiment.target
    through = probed_proxies(plan, proxies)
    planned = through[0].planned
    direct = tuple(one.ports[planned.to_port] for one in replicas if one.service == planned.to_service)
    return ProbeConfig(
        run_id=run_id,
        bundle=str(bundle.absolute()),
        origin_monotonic_ns=origin_ns,
        service=planned.to_service,
        hello=hello_for(target, planned.to_service, planned.to_port),
        routes={"relay": tuple(proxy.listen for proxy in through), "direct": direct},
        every_ns=plan.probe_every_ns,
        timeout_ns=plan.probe_timeout_ns,
        totals=_totals(target, driver),
    )


def _totals(target: Target, driver: Driver) -> tuple[TotalsSource, ...]:
    asked = {name: service.offers.totals for name, service in target.services.items()}
    return tuple(_source(name, ask, driver.values(name, 0)) for name, ask in asked.items() if ask is not None)


def _source(service: str, ask: Ask, values: Mapping[str, str]) -> TotalsSource:
    if ask.http is not None:
        return TotalsSource(service, http=ask_url(ask.http, values))
    return TotalsSource(service, command=expand(ask.command or (), values))


def ask_url(http: str, values: Mapping[str, str]) -> str:
    """Return the URL that `<port>/<path>` means for the replica with these values."""
    port, _, path = http.partition("/")
    return f"http://{values[f'self.{port}']}/{path}"
