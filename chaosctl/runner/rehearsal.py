"""A dry run: every call that a run would make, in order, from the plan and the faults' own code. Nothing is started.

Stand-ins: `RUN` for the run's id, `http://<relay>` for the relay's address, `<world[0].main>` for a port of a replica,
`<world[0].state>` for its folder, `<gateway-world.0>` for the listener of a link.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaosctl.deploy.contract import Replica
from chaosctl.errors import ChaosctlError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import parse_on
from chaosctl.experiment.units import format_duration, format_size
from chaosctl.faults.contract import Fault, Place
from chaosctl.plan.model import Plan, PlannedFault
from chaosctl.relay.contract import RelayInfo
from chaosctl.runner.links import LinkProxy, beside, link_addresses, open_links, undo_of_links
from chaosctl.runner.stand_ins import DeskStandIn, Notes, ProcessStandIn, RelayStandIn, undo_in_words
from chaosctl.safety.undo import Undo

RUN_ID = "RUN"
RELAY_URL = "http://<relay>"
# What a fault does beside the clock ends at once here.
BESIDE_WITHIN_S = 10.0


@dataclass(frozen=True)
class Call:
    """One thing that a run would do. `at_ns` counts from the start of the load, None before and after it.

    `by` is what it is done for or by (`f1-latency`, `world[0]`, `swarm`), `undo` is what takes it back.
    """

    stage: Literal["up", "load", "after"]
    at_ns: int | None
    by: str
    what: str
    undo: tuple[str, ...] = ()


def rehearse(loaded: Loaded, plan: Plan, faults: Mapping[str, Fault], relay_url: str | None = None) -> tuple[Call, ...]:
    """Return every call of a run of this plan; `relay_url` is that of a Toxiproxy that is attached to."""
    rehearsal = _Rehearsal(loaded, plan, faults, relay_url)
    return (*rehearsal.up(), *rehearsal.load(), *rehearsal.after())


@contextmanager
def _what_is_beside_it() -> Iterator[None]:
    """Wait for the threads that a fault has begun: what it does beside the clock is part of it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(BESIDE_WITHIN_S)


class _Rehearsal:
    def __init__(self, loaded: Loaded, plan: Plan, faults: Mapping[str, Fault], relay_url: str | None) -> None:
        self._experiment = loaded.experiment
        self._services = loaded.experiment.target.services
        self._plan = plan
        self._faults = faults
        self._notes = Notes()
        self._starts_relay = relay_url is None
        info = RelayInfo("", "", relay_url or RELAY_URL, self._starts_relay)
        self._relay = RelayStandIn(self._notes, info, RUN_ID)
        self._is_external = loaded.experiment.target.driver == "external"
        self._replicas = tuple(
            Replica(name, index, self._ports(name, index), Path(), Path())
            for name in plan.start_order
            for index in range(self._services[name].replicas)
        )
        self._links: tuple[LinkProxy, ...] = ()
        self._processes: dict[str, ProcessStandIn] = {}
        self._in_force: dict[str, tuple[PlannedFault, Place, tuple[Undo, ...]]] = {}

    def _ports(self, name: str, index: int) -> Mapping[str, str]:
        service = self._services[name]
        if self._is_external:
            return {port: those[index] for port, those in service.addresses.items()}
        return {port: f"<{name}[{index}].{port}>" for port in service.ports}

    # Before the load.

    def up(self) -> Iterator[Call]:
        """Yield what brings everything up, in the order of `runner.run`."""
        yield Call("up", None, "keeper", "start: it heals and ends everything if chaosctl is gone")
        url = self._relay.info.api_url
        yield Call("up", None, "relay", "start" if self._starts_relay else f"attach to {url}")
        self._links = open_links(self._plan, beside(self._replicas), self._relay, RUN_ID)
        gone = iter(undo_of_links(self._plan, url, RUN_ID))
        for line in self._notes.take():
            makes_proxy = line.startswith(f"POST {url}/proxies {{")
            yield Call("up", None, "relay", line, (undo_in_words(next(gone), {}),) if makes_proxy else ())
        yield from self._disks("up")
        for replica in self._replicas:
            yield self._start_of(replica, self._services[replica.service])
        yield Call("up", None, "swarm", f"start with {len(self._plan.bots)} bots over {self._plan.bots_link}")
        every = format_duration(self._plan.probe_every_ns)
        yield Call("up", None, "probe", f"start: asks over {self._plan.probe_link} every {every}")

    def _disks(self, stage: Literal["up", "after"]) -> Iterator[Call]:
        """Yield what is done for those replicas that have a disk of their own."""
        for replica in self._replicas:
            if (size_bytes := self._services[replica.service].disk_bytes) is not None:
                where, gone = f"<{replica.name}.state>", "unmount its disk; what is on it stays"
                made = f"make a disk of {format_size(size_bytes)} in the file {where}.disk and mount it at {where}"
                yield Call(stage, None, replica.name, *((made, (gone,)) if stage == "up" else (gone,)))

    def _start_of(self, replica: Replica, service: Service) -> Call:
        if self._is_external:
            where = ", ".join(replica.ports.values())
            return Call("up", None, replica.name, f"use what runs at {where}; lock it for this run", ("unlock it",))
        words = expand(service.run or (), self._values(replica))
        command = " ".join(repr(word) if " " in word or not word else word for word in words)
        with_env = f", with {', '.join(sorted(service.env))} set" if service.env else ""
        within = f", ready within {format_duration(service.ready.within_ns)}" if service.ready is not None else ""
        grace = format_duration(service.stop_within_ns)
        what = f"start {command}{with_env}{within}"
        return Call("up", None, replica.name, what, (f"SIGTERM, after {grace} SIGKILL",))

    def _values(self, replica: Replica) -> Mapping[str, str]:
        """What `deploy.process.ProcessDriver.values` returns, with stand-ins."""
        addresses = {f"self.{port}": address for port, address in replica.ports.items()}
        addresses |= {f"link.{name}": address for name, address in link_addresses(self._links).items()}
        for name, service in self._services.items():
            for port in service.ports:
                of_all = (one.ports[port] for one in self._replicas if one.service == name)
                addresses[f"service.{name}.{port}"] = ",".join(of_all)
        halves = {name: address for name, address in addresses.items() if "," not in address}
        return {
            "state": f"<{replica.name}.state>",
            "index": str(replica.index),
            **addresses,
            **{f"{name}.host": "127.0.0.1" for name in halves},
            **{f"{name}.port": f"<port of {address.strip('<>')}>" for name, address in halves.items()},
        }

    # The load and the faults.

    def load(self) -> Iterator[Call]:
        """Yield every step of the plan."""
        planned = {fault.id: fault for fault in self._plan.faults}
        for condition in self._experiment.stop_when:
            yield Call("load", 0, "stop_when", f"from now on: {condition}")
        for step in self._plan.steps:
            if step.do == "users":
                over = f" over {format_duration(step.over_ns)}" if step.over_ns else ""
                yield Call("load", step.at_ns, "swarm", f"{step.users} users{over}")
            elif step.do == "inject":
                yield from self._inject(planned[str(step.fault)], step.at_ns)
            else:
                ids = [str(step.fault)] if step.do == "heal" else list(reversed(self._in_force))
                for fault_id in ids:
                    yield from self._heal(fault_id, step.at_ns)

    def _inject(self, planned: PlannedFault, at_ns: int) -> Iterator[Call]:
        fault, place = self._faults[planned.kind], self._place_of(planned)
        params = fault.kind.params(**planned.params)
        undo = fault.prepare(planned.id, place, params)
        try:
            with _what_is_beside_it():
                fault.inject(planned.id, place, params, lambda: at_ns)
        except ChaosctlError as error:
            yield Call("load", at_ns, planned.id, f"fails: {error}")
            return
        self._in_force[planned.id] = planned, place, undo
        undoing = tuple(undo_in_words(action, self._labels()) for action in undo)
        for number, line in enumerate(self._notes.take()):
            yield Call("load", at_ns, planned.id, line, undoing if number == 0 else ())

    def _heal(self, fault_id: str, at_ns: int) -> Iterator[Call]:
        if fault_id not in self._in_force:
            return
        planned, place, undo = self._in_force.pop(fault_id)
        for action in undo:
            yield Call("load", at_ns, f"{fault_id} heals", undo_in_words(action, self._labels()))
        fault = self._faults[planned.kind]
        with _what_is_beside_it():
            fault.restore(fault_id, place, fault.kind.params(**planned.params))
        for line in self._notes.take():
            yield Call("load", at_ns, f"{fault_id} heals", line)

    def _place_of(self, planned: PlannedFault) -> Place:
        """As `runner.links.place_of`, but nobody can be asked for a role."""
        on, held = parse_on(planned.on), planned.heal_ns is not None
        if planned.acts_on == "link":
            chosen = tuple(
                p for p in self._links if p.planned.link == on.name and on.cohort in (None, p.planned.cohort)
            )
            return Place(planned.on, chosen, held=held)
        if on.role is not None:
            label = f"the {planned.on}"
            process = self._process(on.name, 0, label)
            return Place(planned.on, processes=(process,), desks=(self._desk(on.name, 0, label),), held=held)
        indexes = on.replicas if on.replicas is not None else range(self._services[on.name].replicas)
        processes = tuple(self._process(on.name, index, f"{on.name}[{index}]") for index in indexes)
        desks = tuple(self._desk(on.name, index, f"{on.name}[{index}]") for index in indexes)
        return Place(planned.on, processes=processes, desks=desks, held=held)

    def _desk(self, service: str, index: int, label: str) -> DeskStandIn:
        replica = next(one for one in self._replicas if (one.service, one.index) == (service, index))
        return DeskStandIn(label, self._values(replica), self._notes)

    def _process(self, service: str, index: int, label: str) -> ProcessStandIn:
        if label not in self._processes:
            number = len(self._processes) + 1
            made = ProcessStandIn(service, index, label, number, self._services[service], self._notes)
            self._processes[label] = made
        return self._processes[label]

    def _labels(self) -> Mapping[int, str]:
        whole = {process.number: process.label for process in self._processes.values()}
        return whole | {-number: f"the same in {label}" for number, label in whole.items()}

    # After the load.

    def after(self) -> Iterator[Call]:
        """Yield how it is looked at what is left, and how everything is ended."""
        within = format_duration(self._experiment.swarm.audit_within_ns)
        yield Call("after", None, "swarm", f"end the load, then every bot reads back what it was promised, in {within}")
        if (digests := self._plan.objectives.get("same_digest")) is not None:
            for name in (name for name, service in self._services.items() if service.offers.digest is not None):
                done = " and ".join(digests["after"])
                yield Call("after", None, name, f"ask for its digest before and after each of: {done}")
        for name in ("probe", "swarm"):
            yield Call("after", None, name, "end")
        for replica in reversed(self._replicas):
            grace = format_duration(self._services[replica.service].stop_within_ns)
            ending = "unlock it; it goes on" if self._is_external else f"SIGTERM, after {grace} SIGKILL"
            yield Call("after", None, replica.name, ending)
        yield from self._disks("after")
        if (replays := self._plan.objectives.get("replay")) is not None:
            for name in (name for name, service in self._services.items() if service.offers.replay is not None):
                perturbed = f", and under {', '.join(replays['perturb'])}" if replays.get("perturb") else ""
                yield Call("after", None, name, f"replay its input log {replays['runs']} times{perturbed}")
        if self._starts_relay:
            yield Call("after", None, "relay", "end")
        else:
            for action in undo_of_links(self._plan, self._relay.info.api_url, RUN_ID):
                yield Call("after", None, "relay", undo_in_words(action, {}))
        yield Call("after", None, "keeper", "end")
