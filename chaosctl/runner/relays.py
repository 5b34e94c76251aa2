"""Which relay carries the links of a run, where it runs, and how it stands to both ends of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaosctl.deploy.contract import ContainerNetwork, Driver, Replica
from chaosctl.errors import NotReadyError
from chaosctl.plan.model import Plan
from chaosctl.relay.container import NAME, Berth, RelayContainer, start_in_container
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy
from chaosctl.relay.toxiproxy import ToxiproxyRelay, attach
from chaosctl.runner.links import Wiring, beside, undo_of_links, within
from chaosctl.safety.ports import ReservedPorts, reserve_ports
from chaosctl.safety.undo import ContainersUndo, Undo


@dataclass(frozen=True)
class WantedRelay:
    """What the operator wants. `kind`: auto, embedded, toxiproxy or container; `url` attaches to a running server;
    `image` is what a relay in a container is made from, None: the Toxiproxy of this machine."""

    kind: str = "auto"
    url: str | None = None
    image: str | None = None

    def in_container(self, *, remote: bool) -> bool:
        """Say whether the relay stands in a container: containers of another machine cannot reach one on this."""
        return self.kind == "container" or (self.kind == "auto" and self.url is None and remote)

    def source(self) -> Path | str:
        """Return what the container is made from. Raises NotReadyError where there is nothing."""
        if (found := self.image or find_toxiproxy()) is None:
            raise NotReadyError(
                "nothing is there to make the relay's container from; put toxiproxy-server on PATH, name it in "
                "CHAOSCTL_TOXIPROXY, or name an image that the Docker Engine has with --relay-image"
            )
        return found


@dataclass(frozen=True)
class Carrier:
    """The relay of a run, how it stands to both ends of its links, its container if it has one, and its ports."""

    relay: ToxiproxyRelay
    wiring: Wiring
    container: RelayContainer | None = None
    ports: ReservedPorts | None = None

    over: threading.Event = field(default_factory=threading.Event)

    def undo(self, plan: Plan, run_id: str) -> tuple[Undo, ...]:
        """Return what takes the links off the relay again, or the relay with them."""
        api_url = self.relay.info.api_url
        if self.container is None:
            return undo_of_links(plan, api_url, run_id)
        return (ContainersUndo(self.container.berth.engine.address, run_id, api_url),)

    def before_down(self) -> None:
        """Expect its end, where it is removed with the target's containers: `over` is set, and its log is kept."""
        if self.container is not None:
            self.over.set()
            self.container.keep_log()

    def close(self) -> None:
        """End what was started. Raises RelayError."""
        try:
            self.relay.close()
        finally:
            if self.ports is not None:
                self.ports.release()


def start_carrier(
    choice: WantedRelay,
    plan: Plan,
    driver: Driver,
    replicas: Sequence[Replica],
    run_id: str,
    bundle: Path,
    environ: Mapping[str, str],
) -> Carrier:
    """Attach to the server named, or start the one that is wanted and found. Raises NotReadyError, RelayError."""
    log_path, network = bundle / "logs" / "relay.log", driver.network()
    if choice.in_container(remote=network is not None and network.engine.is_remote):
        if network is None:
            raise NotReadyError("--relay container needs services in containers; use driver docker, or another relay")
        return _in_container(choice, plan, network, replicas, run_id, log_path)
    relay = _on_this_machine(choice, plan.seed, log_path, environ)
    return Carrier(relay, beside(replicas, driver.link_listen))


def _on_this_machine(choice: WantedRelay, seed: int, log_path: Path, environ: Mapping[str, str]) -> ToxiproxyRelay:
    if choice.url is not None:
        return attach(choice.url)
    binary = None if choice.kind == "embedded" else find_toxiproxy()
    if binary is not None:
        return start_toxiproxy(binary, log_path=log_path, env=environ)
    if choice.kind == "toxiproxy":
        raise NotReadyError(
            "no Toxiproxy was found; put toxiproxy-server on PATH, name it in CHAOSCTL_TOXIPROXY, "
            "give a running one's address with --toxiproxy, or use --relay embedded"
        )
    return start_embedded(seed=seed, log_path=log_path, env=environ)


def _in_container(
    choice: WantedRelay, plan: Plan, network: ContainerNetwork, replicas: Sequence[Replica], run_id: str, log_path: Path
) -> Carrier:
    """An engine of this machine gives its containers addresses that this machine reaches. Those of another one are
    reached where their ports are published, so there the listeners are."""
    ports = reserve_ports(1 + len(plan.proxies))
    try:
        api_port, *numbers = ports.numbers
        published = tuple(numbers) if network.engine.is_remote else ()
        berth = Berth(network.engine, network.name, network.host, api_port, published)
        relay, container = start_in_container(berth, run_id, choice.source(), log_path=log_path)
        host = network.host if network.engine.is_remote else container.address()
    except BaseException:
        ports.release()
        raise
    by_proxy = dict(zip((one.name for one in plan.proxies), numbers, strict=True))
    return Carrier(relay, within(replicas, network, by_proxy, host, NAME), container, ports)
