"""How a dry run sees a target brought up and taken down: services as processes of this machine, or elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

from chaosctl.deploy.contract import ContainerNetwork, Replica
from chaosctl.deploy.fleet import HERE, Sight, values_of
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service, Target
from chaosctl.experiment.units import format_duration, format_size
from chaosctl.runner.rehearsal.notes import Call, Notes
from chaosctl.runner.rehearsal.stand_ins import ProcessStandIn
from chaosctl.runner.rehearsal.undo_words import in_one_line, undo_in_words
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.undo import Undo

Stage = Literal["up", "after"]


class RehearsedTarget:
    """Services as processes of this machine."""

    def __init__(self, target: Target, start_order: Sequence[str], notes: Notes) -> None:
        self.target = target
        self.services = target.services
        self.start_order = tuple(start_order)
        self.notes = notes
        self.links: Mapping[str, str] = {}
        self.replicas = tuple(
            self.place(name, index) for name in start_order for index in range(self.services[name].replicas)
        )
        self._stand_ins: dict[str, ProcessStandIn] = {}

    def ports(self, name: str, index: int) -> Mapping[str, str]:
        """Return what stands for the addresses of a replica's ports on this machine."""
        return {port: f"<{name}[{index}].{port}>" for port in self.services[name].ports}

    def place(self, name: str, index: int) -> Replica:
        """Return a replica, with stand-ins."""
        return Replica(name, index, self.ports(name, index), Path(f"<{name}[{index}].state>"), Path())

    def replica(self, service: str, index: int) -> Replica:
        """Return one of the replicas."""
        return next(one for one in self.replicas if (one.service, one.index) == (service, index))

    def link_listen(self, link: str, replica: int) -> str:
        """Return where the relay listens for what services send over a link to this replica."""
        return f"{LOOPBACK}:0"

    def network(self) -> ContainerNetwork | None:
        """Return the network of the containers; None where there are none."""
        return None

    def values(self, replica: Replica, sight: Sight = HERE) -> Mapping[str, str]:
        """Return what `${...}` stands for (see `Fleet.values`), with stand-ins."""
        values = dict(values_of(replica, self.replicas, self.links, sight))
        for name, address in tuple(values.items()):
            # What stands for an address as a whole has no halves.
            if f"{name}.port" in values and ":" not in address:
                values |= {f"{name}.host": LOOPBACK, f"{name}.port": f"<port of {address.strip('<>')}>"}
        return values

    # Before the load, and after it.

    def made(self) -> Iterator[Call]:
        """Yield what is made before the relay."""
        yield from self.disks("up")

    def started(self) -> Iterator[Call]:
        """Yield how every service is started; `links` are known by now."""
        for replica in self.replicas:
            service = self.services[replica.service]
            command = in_one_line(expand(service.run or (), self.values(replica)))
            with_env = f", with {', '.join(sorted(service.env))} set" if service.env else ""
            within = f", ready within {format_duration(service.ready.within_ns)}" if service.ready is not None else ""
            yield Call("up", None, replica.name, f"start {command}{with_env}{within}", (ending(service),))

    def ended(self) -> Iterator[Call]:
        """Yield how everything is ended and removed."""
        for replica in reversed(self.replicas):
            yield Call("after", None, replica.name, ending(self.services[replica.service]))
        yield from self.disks("after")

    def disks(self, stage: Stage) -> Iterator[Call]:
        """Yield what is done for those replicas that have a disk of their own."""
        for replica in self.replicas:
            if (size_bytes := self.services[replica.service].disk_bytes) is not None:
                where, gone = replica.state_dir, "unmount its disk; what is on it stays"
                made = f"make a disk of {format_size(size_bytes)} in the file {where}.disk and mount it at {where}"
                yield Call(stage, None, replica.name, *((made, (gone,)) if stage == "up" else (gone,)))

    def noted(self, stage: Stage, by: str, *undo: str) -> Iterator[Call]:
        """Yield what was noted; what is first of it is undone like that."""
        for number, line in enumerate(self.notes.take()):
            yield Call(stage, None, by, line, undo if number == 0 else ())

    # The faults.

    def process(self, service: str, index: int, label: str | None = None) -> ProcessStandIn:
        """Return what stands in for a replica, by what it is called: `world[0]`, `the leader of world`."""
        label = label or f"{service}[{index}]"
        if label not in self._stand_ins:
            self._stand_ins[label] = self.stand_in(service, index, label, len(self._stand_ins) + 1)
        return self._stand_ins[label]

    def stand_in(self, service: str, index: int, label: str, number: int) -> ProcessStandIn:
        """Return a new one."""
        return ProcessStandIn(service, index, label, number, self.services[service], self.notes)

    def undo(self, action: Undo) -> None:
        """Note what undoes something."""
        whole = {one.number: one.label for one in self._stand_ins.values()}
        inside = {-number: f"the same in {label}" for number, label in whole.items()}
        self.notes.add(undo_in_words(action, whole | inside))

    def tried(self) -> AbstractContextManager[None]:
        """Let what is done meanwhile not have been done."""
        return nullcontext()


class RehearsedElsewhere(RehearsedTarget):
    """Services that run already."""

    def ports(self, name: str, index: int) -> Mapping[str, str]:
        """Return where they are."""
        return {port: those[index] for port, those in self.services[name].addresses.items()}

    def started(self) -> Iterator[Call]:
        """Yield that nothing is started."""
        for replica in self.replicas:
            where = ", ".join(replica.ports.values())
            yield Call("up", None, replica.name, f"use what runs at {where}; lock it for this run", ("unlock it",))

    def ended(self) -> Iterator[Call]:
        """Yield that nothing is ended."""
        for replica in reversed(self.replicas):
            yield Call("after", None, replica.name, "unlock it; it goes on")


def ending(service: Service) -> str:
    """Return how a process of a service is ended."""
    return f"SIGTERM, after {format_duration(service.stop_within_ns)} SIGKILL"
