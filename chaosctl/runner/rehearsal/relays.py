"""How a dry run sees the relay of a run: started here, in a container beside the services, or attached to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaosctl.deploy.contract import ContainerNetwork
from chaosctl.plan.model import Plan
from chaosctl.relay.container import NAME, Berth, RelayContainer, wanted
from chaosctl.relay.contract import RelayInfo
from chaosctl.runner.links import Wiring, beside, undo_of_links, within
from chaosctl.runner.rehearsal.engine_stand_in import MADE_IMAGE
from chaosctl.runner.rehearsal.notes import Call, Number
from chaosctl.runner.rehearsal.stand_ins import RelayStandIn
from chaosctl.runner.rehearsal.targets import RehearsedTarget
from chaosctl.runner.rehearsal.undo_words import undo_in_words
from chaosctl.runner.relays import WantedRelay
from chaosctl.safety.engine import RUN_LABEL
from chaosctl.safety.undo import ContainersUndo, HttpUndo

RELAY_URL = "http://<relay>"
# What the engine is taken to call the container.
CONTAINER = "<relay>"


class RehearsedRelay:
    """The relay that is wanted, for this target."""

    def __init__(self, choice: WantedRelay, plan: Plan, target: RehearsedTarget, run_id: str) -> None:
        self._choice = choice
        self._plan = plan
        self._target = target
        self._run_id = run_id
        network = target.network()
        stands = network is not None and choice.in_container(remote=network.engine.is_remote)
        self._network: ContainerNetwork | None = network if stands else None
        host = f"http://{network.host}:<port of the relay>" if network is not None and stands else RELAY_URL
        info = RelayInfo("", "", choice.url or host, choice.url is None)
        self.relay = RelayStandIn(target.notes, info, run_id)

    @property
    def wiring(self) -> Wiring:
        """Return how it stands to both ends of the links."""
        if self._network is None:
            return beside(self._target.replicas, self._target.link_listen)
        ports = {one.name: Number(f"<port of {one.name}>") for one in self._plan.proxies}
        host = self._network.host if self._network.engine.is_remote else "<address of the relay>"
        return within(self._target.replicas, self._network, ports, host, NAME)

    def started(self) -> Iterator[Call]:
        """Yield how it is started."""
        url = self.relay.info.api_url
        if self._network is None:
            yield Call("up", None, "relay", "start" if self.relay.info.started_by_us else f"attach to {url}")
            return
        engine = self._network.engine
        if (image := self._choice.image) is not None:
            made = str(engine.ask("GET", f"/images/{image}/json")["Id"])
        else:
            made, label = MADE_IMAGE, f"LABEL {RUN_LABEL}={self._run_id}"
            self._target.notes.add("pack toxiproxy-server and the libraries that it is linked to")
            engine.ask("POST", "/images/create", b"", fromSrc="-", changes=label)
        body = wanted(self._berth(self._network), self._run_id, made, named=image is not None)
        engine.ask("POST", "/containers/create", body)
        engine.ask("POST", f"/containers/{CONTAINER}/start")
        self._target.notes.add(f"wait until it answers at {url}")
        yield from self._target.noted("up", "relay")

    def opened(self) -> Iterator[Call]:
        """Yield what was noted while the links were opened."""
        url = self.relay.info.api_url
        gone = iter(undo_of_links(self._plan, url, self._run_id))
        for line in self._target.notes.take():
            makes_proxy = line.startswith(f"POST {url}/proxies {{")
            yield Call("up", None, "relay", line, (self._undo(next(gone)),) if makes_proxy else ())

    def ended(self) -> Iterator[Call]:
        """Yield how it is ended, or what is taken off it."""
        if self._network is not None:
            image = "" if self._choice.image is not None else MADE_IMAGE
            RelayContainer(self._berth(self._network), CONTAINER, image, Path()).end()
            yield from self._target.noted("after", "relay")
        elif self.relay.info.started_by_us:
            yield Call("after", None, "relay", "end")
        else:
            for action in undo_of_links(self._plan, self.relay.info.api_url, self._run_id):
                yield Call("after", None, "relay", undo_in_words(action, {}))

    def _undo(self, action: HttpUndo) -> str:
        if self._network is None:
            return undo_in_words(action, {})
        return undo_in_words(ContainersUndo(self._network.engine.address, self._run_id), {})

    def _berth(self, network: ContainerNetwork) -> Berth:
        ports = tuple(Number(f"<port of {one.name}>") for one in self._plan.proxies)
        published = ports if network.engine.is_remote else ()
        return Berth(network.engine, network.name, network.host, Number("<port of the relay>"), published)
