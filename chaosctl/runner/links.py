"""The links of a run: a relay listener for each planned proxy, and where a fault's `on:` leads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from chaosctl.deploy.contract import ContainerNetwork, Driver, Replica
from chaosctl.experiment.groups import Groups
from chaosctl.experiment.model import Hello, Target
from chaosctl.experiment.places import parse_on, replicas_text
from chaosctl.faults.contract import Desk, Line, Place, ProcessControl, Wire
from chaosctl.plan.model import Plan, PlannedFault, PlannedProxy
from chaosctl.relay.contract import ProxySpec, Relay, Stream, Toxic
from chaosctl.runner.parting import Parting
from chaosctl.runner.roles import AskRoles, having_role, in_words
from chaosctl.safety.undo import HttpUndo

LOOPBACK = "127.0.0.1"
ProcessOf = Callable[[str, int], ProcessControl]
"""Returns a replica by its service and its number."""
ListenOf = Callable[[str, int], str]
"""Where the relay listens for a link and a replica that it leads to; port 0: at any."""


@dataclass(frozen=True)
class LinkProxy:
    """One open listener of a link, as faults see it (`faults.contract.ProxyControl`): `listen` and `upstream` as this
    machine reaches them, `for_services` as the link's client services reach the listener."""

    planned: PlannedProxy
    name: str
    listen: str
    upstream: str
    api_url: str
    relay: Relay
    for_services: str

    def add_toxic(self, name: str, type: str, stream: Stream, attributes: Mapping[str, int]) -> None:
        """Add a toxic to it. Raises RelayError."""
        self.relay.add_toxic(self.name, Toxic(name=name, type=type, stream=stream, attributes=attributes))

    def set_enabled(self, enabled: bool) -> None:
        """Open or shut it. Raises RelayError."""
        self.relay.set_enabled(self.name, enabled)


@dataclass(frozen=True)
class Ends:
    """The addresses of one listener. The relay is told to listen at `listen` and to lead to `upstream`; this machine
    reaches the listener at `here` and what is behind it at `direct`, client services reach the listener at `services`.
    None: where the relay says that it listens."""

    listen: str
    upstream: str
    direct: str
    here: str | None = None
    services: str | None = None


Wiring = Callable[[PlannedProxy], Ends]
"""How a relay stands to both ends of the links that it carries."""


def _on_loopback(link: str, replica: int) -> str:
    return f"{LOOPBACK}:0"


def beside(replicas: Sequence[Replica], listen_of: ListenOf = _on_loopback) -> Wiring:
    """Return the wiring of a relay on this machine.

    Bots connect on loopback, services where `listen_of` says: no listener is open to more than those who use it. Where
    the experiment says at what address a link listens, it does so there.
    """
    addresses = _addresses(replicas)

    def ends(planned: PlannedProxy) -> Ends:
        to = addresses[planned.to_service, planned.to_replica][planned.to_port]
        listen = (listen_of if planned.cohort is None else _on_loopback)(planned.link, planned.to_replica)
        return Ends(planned.listen or listen, to, to)

    return ends


def within(
    replicas: Sequence[Replica], network: ContainerNetwork, ports: Mapping[str, int], host: str, name: str
) -> Wiring:
    """Return the wiring of a relay on the containers' own network, where it is called `name`; this machine reaches it
    at `host`. `ports` are the numbers of its listeners, by the proxies' names."""
    addresses = _addresses(replicas)

    def ends(planned: PlannedProxy) -> Ends:
        to, port = (planned.to_service, planned.to_replica), ports[planned.name]
        upstream = network.address_of(*to, planned.to_port)
        return Ends(f"0.0.0.0:{port}", upstream, addresses[to][planned.to_port], f"{host}:{port}", f"{name}:{port}")

    return ends


def _addresses(replicas: Sequence[Replica]) -> Mapping[tuple[str, int], Mapping[str, str]]:
    return {(replica.service, replica.index): replica.ports for replica in replicas}


def open_links(plan: Plan, wiring: Wiring, relay: Relay, run_id: str) -> tuple[LinkProxy, ...]:
    """Make every planned proxy, with what its cohort always has on it. Raises RelayError."""
    return tuple(_open(planned, wiring(planned), relay, run_id) for planned in plan.proxies)


def undo_of_links(plan: Plan, api_url: str, run_id: str) -> tuple[HttpUndo, ...]:
    """Return what takes every planned proxy off the server again: one that is shared outlives the run."""
    names = (_name(planned, run_id) for planned in plan.proxies)
    return tuple(HttpUndo("DELETE", f"{api_url}/proxies/{quote(name, safe='')}") for name in names)


def _name(planned: PlannedProxy, run_id: str) -> str:
    # The prefix tells our proxies from other people's on a shared server.
    return f"chaosctl.{run_id}.{planned.name}"


def _open(planned: PlannedProxy, ends: Ends, relay: Relay, run_id: str) -> LinkProxy:
    name = _name(planned, run_id)
    state = relay.create(ProxySpec(name=name, listen=ends.listen, upstream=ends.upstream))
    for toxic in _standing_toxics(planned):
        relay.add_toxic(name, toxic)
    here, services = ends.here or state.listen, ends.services or state.listen
    return LinkProxy(planned, name, here, ends.direct, state.api_url, relay, services)


def _standing_toxics(planned: PlannedProxy) -> list[Toxic]:
    """What a cohort's link has all the time: a far player's delay, a thin line."""
    toxics = []
    if planned.latency_ns or planned.jitter_ns:
        delay_ms = {"latency": planned.latency_ns // 1_000_000, "jitter": planned.jitter_ns // 1_000_000}
        toxics.append(Toxic("cohort-latency", "latency", "downstream", delay_ms))
    if planned.bandwidth_bytes_per_s is not None:
        rate = {"rate": max(1, planned.bandwidth_bytes_per_s // 1000)}
        toxics.extend(Toxic(f"cohort-bandwidth-{side}", "bandwidth", side, rate) for side in ("upstream", "downstream"))
    return toxics


def link_addresses(proxies: Sequence[LinkProxy]) -> Mapping[str, str]:
    """Return the addresses that the clients of each link between services connect to, comma-joined."""
    by_link: dict[str, list[str]] = defaultdict(list)
    for proxy in proxies:
        if proxy.planned.cohort is None:
            by_link[proxy.planned.link].append(proxy.for_services)
    return {link: ",".join(listens) for link, listens in by_link.items()}


def cohort_addresses(proxies: Sequence[LinkProxy], bots_link: str) -> Mapping[str, tuple[str, ...]]:
    """Return the addresses that each cohort's bots connect to."""
    by_cohort: dict[str, list[str]] = defaultdict(list)
    for proxy in proxies:
        if proxy.planned.link == bots_link and proxy.planned.cohort is not None:
            by_cohort[proxy.planned.cohort].append(proxy.listen)
    return {cohort: tuple(listens) for cohort, listens in by_cohort.items()}


def probed_proxies(plan: Plan, proxies: Sequence[LinkProxy]) -> tuple[LinkProxy, ...]:
    """Return the proxies that the probe goes through: those of its link, of the cohort that is delayed least."""
    candidates = [proxy for proxy in proxies if proxy.planned.link == plan.probe_link]
    if not candidates:
        return ()
    nearest = min(candidates, key=lambda proxy: (proxy.planned.latency_ns, str(proxy.planned.cohort))).planned.cohort
    return tuple(proxy for proxy in candidates if proxy.planned.cohort == nearest)


def hello_for(target: Target, service: str, port: str) -> Hello | None:
    """Return the question to ask `service` on `port`, if it declared one for that port."""
    hello = target.services[service].probe
    asked = target.services[service].ports[0] if hello is None or hello.port is None else hello.port
    return hello if asked == port else None


def _no_desks(processes: Sequence[ProcessControl]) -> tuple[Desk, ...]:
    return ()


def place_of(
    planned: PlannedFault,
    target: Target,
    proxies: Sequence[LinkProxy],
    driver: Driver,
    ask: AskRoles,
    desks_of: Callable[[Sequence[ProcessControl]], tuple[Desk, ...]] = _no_desks,
) -> Place:
    """Resolve a fault's `on:` (see `experiment.places`). The plan has checked that it exists.

    Where it names a role, every replica is asked for its own now. Raises NotReadyError where that leaves it open.
    """
    held = planned.heal_ns is not None
    on = parse_on(planned.on)
    if planned.acts_on == "link":
        chosen = tuple(p for p in proxies if p.planned.link == on.name and on.cohort in (None, p.planned.cohort))
        if not chosen:
            return Place(planned.on, wires=wires_of(target, on.name, driver.process), held=held)
        first = chosen[0].planned
        usual = {p.name: (p.planned.latency_ns, p.planned.jitter_ns) for p in chosen}
        return Place(
            planned.on,
            chosen,
            hello=hello_for(target, first.to_service, first.to_port),
            held=held,
            usual_delays_ns=usual,
        )
    if groups := planned.params.get("groups"):
        return parted(planned, groups, target, proxies, driver.process, ask)
    where, indexes, roles = planned.on, on.replicas, dict[str, str]()
    if on.role is not None:
        answers = ask(on.name)
        indexes = having_role(on, answers)
        where, roles = replicas_text(on.name, indexes), in_words(on.name, answers)
    elif indexes is None:
        indexes = tuple(range(target.services[on.name].replicas))
    processes = tuple(driver.process(on.name, index) for index in indexes)
    hello, desks = target.services[on.name].probe, desks_of(processes)
    return Place(where, processes=processes, desks=desks, hello=hello, held=held, roles=roles)


def wires_of(target: Target, link_name: str, process_of: ProcessOf) -> tuple[Wire, ...]:
    """Return what a link is made of that no relay carries. Raises NotReadyError where its ends are no containers."""
    link = target.links[link_name]
    client, server = str(link.from_service), link.to
    port = target.services[server].container_ports[link.port or target.services[server].ports[0]]
    ends = {
        (service, index): process_of(service, index).container()
        for service in (client, server)
        for index in range(target.services[service].replicas)
    }
    return tuple(
        Wire(f"{client}[{one}]", f"{server}[{other}]", here, there, port)
        for (end, one), here in ends.items()
        for (other_end, other), there in ends.items()
        if end == client and other_end == server and here is not None and there is not None
    )


def parted(
    planned: PlannedFault,
    groups: Groups,
    target: Target,
    proxies: Sequence[LinkProxy],
    process_of: ProcessOf,
    ask: AskRoles,
) -> Place:
    """Return the place of a fault that parts replicas: all of its groups, and the links between services.

    Raises NotReadyError where a role leaves that open.
    """
    parting = Parting(target.services, ask)
    members = parting.members(groups, parse_on(planned.on))
    everybody = dict.fromkeys(member for group in members for member in group)
    named = tuple(tuple(f"{service}[{index}]" for service, index in group) for group in members)
    lines = (
        Line(client, f"{proxy.planned.to_service}[{proxy.planned.to_replica}]", proxy.listen)
        for proxy in proxies
        if (client := target.links[proxy.planned.link].from_service) is not None
    )
    processes = tuple(process_of(*member) for member in everybody)
    return Place(
        planned.on,
        processes=processes,
        held=planned.heal_ns is not None,
        roles=parting.roles,
        groups=named,
        lines=tuple(lines),
    )
