"""Where links lead and what they always carry, on a relay that only remembers what it was told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.contract import ContainerNetwork, Replica
from chaosctl.experiment.model import Target
from chaosctl.plan.model import PlannedFault, PlannedProxy
from chaosctl.relay.contract import ProxySpec, ProxyState, Toxic
from chaosctl.runner.links import (
    Ends,
    LinkProxy,
    beside,
    cohort_addresses,
    hello_for,
    link_addresses,
    place_of,
    probed_proxies,
    within,
)
from chaosctl.runner.links import _open as open_proxy
from chaosctl.runner.roles import Answers, RoleAnswer
from chaosctl.safety.engine import Engine

MS = 1_000_000
PROXIES = (
    PlannedProxy(
        "bots-gateway.far.0", "bots-gateway", "far", "gateway", 0, "main", latency_ns=60 * MS, jitter_ns=5 * MS
    ),
    PlannedProxy("bots-gateway.near.0", "bots-gateway", "near", "gateway", 0, "main"),
    PlannedProxy("bots-gateway.near.1", "bots-gateway", "near", "gateway", 1, "main", bandwidth_bytes_per_s=64_000),
    PlannedProxy("gateway-world.0", "gateway-world", None, "world", 0, "main"),
)
TARGET = Target.model_validate(
    {
        "services": {
            "gateway": {"run": ["g"], "ports": ["main"], "replicas": 2, "probe": {"send": "PING\n", "expect": "PONG"}},
            "world": {"run": ["w"], "ports": ["main", "status"], "probe": {"http": "/", "port": "status"}},
        },
        "links": {"bots-gateway": {"to": "gateway"}, "gateway-world": {"from": "gateway", "to": "world"}},
    }
)


ENDS = Ends("127.0.0.1:0", "127.0.0.1:5", "127.0.0.1:5")


class Remembering:
    """A relay that notes what it is told and gives out ports by counting."""

    def __init__(self) -> None:
        self.toxics: list[tuple[str, Toxic]] = []
        self.proxies = 0
        self.listens: list[str] = []

    def create(self, spec: ProxySpec) -> ProxyState:
        self.listens.append(spec.listen)
        self.proxies += 1
        url = f"http://127.0.0.1:1/proxies/{spec.name}"
        return ProxyState(spec.name, f"127.0.0.1:{7000 + self.proxies}", spec.upstream, True, url, ())

    def add_toxic(self, proxy: str, toxic: Toxic) -> None:
        self.toxics.append((proxy, toxic))


class Processes:
    """A driver that names the replica it is asked for."""

    def process(self, service: str, index: int) -> Any:
        return f"{service}[{index}]"


@pytest.fixture
def relay() -> Remembering:
    return Remembering()


@pytest.fixture
def links(relay: Remembering) -> tuple[LinkProxy, ...]:
    return tuple(open_proxy(proxy, ENDS, relay, "run-1") for proxy in PROXIES)  # type: ignore[arg-type]


def nobody_asks(service: str) -> Answers:
    raise AssertionError(f"nobody is to be asked for a role, {service} neither")


def fault(on: str, acts_on: Any = "link", heal_ns: int | None = 5) -> PlannedFault:
    return PlannedFault("f1-x", "x", acts_on, on, {}, 0, heal_ns)


def test_our_proxies_carry_our_prefix(links: tuple[LinkProxy, ...]) -> None:
    assert {link.name.split(".")[0] for link in links} == {"chaosctl"}
    assert all("run-1" in link.name for link in links)


WORLD = (Replica("world", 0, {"main": "127.0.0.1:9001"}, Path(), Path()),)


def test_a_link_listens_where_the_experiment_says_or_anywhere_on_loopback(relay: Remembering) -> None:
    for listen in ("10.0.0.9:7999", None):
        proxy = PlannedProxy("gateway-world.0", "gateway-world", None, "world", 0, "main", listen=listen)
        open_proxy(proxy, beside(WORLD)(proxy), relay, "run-1")  # type: ignore[arg-type]
    assert relay.listens == ["10.0.0.9:7999", "127.0.0.1:0"]


def test_a_relay_beside_the_containers_has_another_address_for_each_who_uses_it(relay: Remembering) -> None:
    network = ContainerNetwork(Engine("tcp://box:2375"), "net", "10.0.0.7", lambda *one: f"{one[0]}-{one[1]}:80")
    wiring = within(WORLD, network, {"gateway-world.0": 7100}, "10.0.0.7", "relay")
    link = open_proxy(PROXIES[3], wiring(PROXIES[3]), relay, "run-1")  # type: ignore[arg-type]
    assert relay.listens == ["0.0.0.0:7100"]
    assert wiring(PROXIES[3]).upstream == "world-0:80"
    assert (link.listen, link.upstream) == ("10.0.0.7:7100", "127.0.0.1:9001")
    assert link_addresses([link]) == {"gateway-world": "relay:7100"}


def test_a_cohort_has_its_delay_and_its_line_all_the_time(relay: Remembering, links: tuple[LinkProxy, ...]) -> None:
    seen = {(proxy.split(".", 2)[2], toxic.type, toxic.stream): toxic.attributes for proxy, toxic in relay.toxics}
    assert seen == {
        ("bots-gateway.far.0", "latency", "downstream"): {"latency": 60, "jitter": 5},
        ("bots-gateway.near.1", "bandwidth", "upstream"): {"rate": 64},
        ("bots-gateway.near.1", "bandwidth", "downstream"): {"rate": 64},
    }


def test_everybody_gets_the_addresses_meant_for_him(links: tuple[LinkProxy, ...]) -> None:
    assert link_addresses(links) == {"gateway-world": "127.0.0.1:7004"}
    assert cohort_addresses(links, "bots-gateway") == {
        "far": ("127.0.0.1:7001",),
        "near": ("127.0.0.1:7002", "127.0.0.1:7003"),
    }


def test_the_probe_goes_the_way_of_the_nearest_cohort(links: tuple[LinkProxy, ...]) -> None:
    class Asked:
        probe_link = "bots-gateway"

    assert [one.planned.cohort for one in probed_proxies(Asked(), links)] == ["near", "near"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("on", "names"),
    [
        ("bots-gateway", ["bots-gateway.far.0", "bots-gateway.near.0", "bots-gateway.near.1"]),
        ("bots-gateway/far", ["bots-gateway.far.0"]),
        ("gateway-world", ["gateway-world.0"]),
    ],
)
def test_a_fault_on_a_link_acts_on_its_proxies(links: tuple[LinkProxy, ...], on: str, names: list[str]) -> None:
    place = place_of(fault(on), TARGET, links, Processes(), nobody_asks)  # type: ignore[arg-type]
    assert [proxy.name.split(".", 2)[2] for proxy in place.proxies] == names
    assert place.held is True
    assert place.usual_delays_ns.get("chaosctl.run-1.bots-gateway.far.0") in (None, (60 * MS, 5 * MS))


@pytest.mark.parametrize(
    ("on", "replicas"),
    [
        ("gateway", ["gateway[0]", "gateway[1]"]),
        ("gateway[1]", ["gateway[1]"]),
        ("gateway[0,1]", ["gateway[0]", "gateway[1]"]),
    ],
)
def test_a_fault_on_a_service_acts_on_its_replicas(links: tuple[LinkProxy, ...], on: str, replicas: list[str]) -> None:
    place = place_of(fault(on, "service", None), TARGET, links, Processes(), nobody_asks)  # type: ignore[arg-type]
    assert list(place.processes) == replicas
    assert place.held is False


def test_a_fault_on_a_role_acts_on_the_replica_that_has_it(links: tuple[LinkProxy, ...]) -> None:
    answers = {0: RoleAnswer(None, "timed out"), 1: RoleAnswer("leader")}
    place = place_of(fault("leader of gateway", "service"), TARGET, links, Processes(), lambda _: answers)  # type: ignore[arg-type]
    assert (place.on, list(place.processes)) == ("gateway[1]", ["gateway[1]"])
    assert place.roles == {"gateway[0]": "no role (timed out)", "gateway[1]": "leader"}


def test_a_question_is_asked_only_on_the_port_it_was_declared_for() -> None:
    assert hello_for(TARGET, "gateway", "main") is not None
    assert hello_for(TARGET, "world", "main") is None
    assert hello_for(TARGET, "world", "status") is not None


def test_a_replica_has_a_readable_name() -> None:
    assert Replica("world", 0, {}, Path(), Path()).name == "world[0]"
