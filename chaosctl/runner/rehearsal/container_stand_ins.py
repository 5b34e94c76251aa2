"""What stands in for containers in a dry run: the drivers' own launchers and the faults' own code act on them, and what
reaches the engine, the kernel or a file of this machine is noted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any

from chaosctl.deploy.adopted import AdoptedLauncher, Hooks
from chaosctl.deploy.containers import Box, ContainerLauncher, Setting
from chaosctl.deploy.contract import Replica
from chaosctl.deploy.launcher import Command, CommandOf, Version
from chaosctl.experiment.units import format_duration
from chaosctl.runner.rehearsal.engine_stand_in import EngineStandIn
from chaosctl.runner.rehearsal.inside_stand_ins import InsideStandIn
from chaosctl.runner.rehearsal.notes import Notes
from chaosctl.runner.rehearsal.stand_ins import ENDING, ProcessStandIn
from chaosctl.safety.container import Container
from chaosctl.safety.keeper_client import Spawned
from chaosctl.safety.name_server import Answer, SlowNameServer
from chaosctl.safety.undo import Undo

_THE_REST = "<what it says already>\n"


@dataclass(frozen=True, kw_only=True)
class ContainerStandIn(Container):
    """A container that is not there. `label` is that of its replica."""

    label: str
    stand_in: EngineStandIn

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask what stands in for the engine."""
        return self.stand_in.ask(method, path, body)

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Note the request; and what it rests on, where somebody else has made the container."""
        made_here = "NetworkMode" in self.inspect().get("HostConfig", {})
        super().set_limits(limits)
        if not made_here:
            self.stand_in.notes.add(f"(of the limits that {self.label} has before, taken for none here)")

    def namespace(self) -> str:
        """Return what stands for it. Raises NotReadyError where it would be out of reach."""
        self.must_be_here()
        return f"<network namespace of {self.label}>"

    def enter(
        self, namespace: str, argv: Sequence[str], text: str = "", needs: Sequence[str] = (), packages: str = ""
    ) -> str:
        """Note what would change something, and remember that it has; else print what is there."""
        if argv[0] == "iptables-save":
            return "\n".join(self._rules(argv[-1]))
        if argv[0] == "ip":
            return json.dumps([{"ifname": f"<each interface of {self.label} but loopback>"}])
        if "show" in argv:
            return json.dumps(self._queues)
        given = f" <<< {'; '.join(text.split(chr(10))).rstrip('; ')}" if text else ""
        self.stand_in.notes.add(f"in {namespace}: {' '.join(argv)}{given}")
        if argv[0] == "tc":
            self._change_queues(argv)
        else:
            self._change_rules(text.splitlines())
        return ""

    def ask_for(self, name: str, within_s: float) -> Answer:
        """Note the question."""
        self.stand_in.notes.add(f"in {self.namespace()}: ask the name server for {name}")
        return Answer("answered", 0.0, (f"<address of {name}>",))

    def answer_late(self, delay_s: float) -> SlowNameServer:
        """Note it."""
        late = format_duration(round(delay_s * 1e9))
        self.stand_in.notes.add(f"in {self.namespace()}: answer in the place of the name server, {late} later")
        return SlowNameServerStandIn(self.label, self.stand_in.notes)

    def read_hosts(self) -> str:
        """Return what was written here, or what stands for what it says."""
        self.must_be_here()
        return self.stand_in.world.hosts.get(self.id, _THE_REST)

    def write_hosts(self, text: str) -> None:
        """Note it."""
        self.stand_in.notes.add(f"write the /etc/hosts of {self.label}: {json.dumps(text)}")
        self.stand_in.world.hosts[self.id] = text

    def _rules(self, table: str) -> list[str]:
        return self.stand_in.world.chains.setdefault((self.id, table), [])

    @property
    def _queues(self) -> list[dict[str, Any]]:
        return self.stand_in.world.queues.setdefault(self.id, [])

    def _change_rules(self, lines: Sequence[str]) -> None:
        """As iptables-restore(8) does: `lines` are what is between the table's name and COMMIT, and both."""
        rules = self._rules(lines[0].removeprefix("*"))
        for line in lines[1:-1]:
            how, _, rest = line.partition(" ")
            if how == "-I":
                chain, _, rule = rest.partition(" 1 ")
                rules.append(f"-A {chain} {rule}")
            elif how == "-D":
                rules.remove(f"-A {rest}")
            elif how == "-X":
                rules[:] = [one for one in rules if not one.startswith((f":{rest} ", f"-A {rest} "))]
            elif how != "-F":
                rules.append(line)

    def _change_queues(self, argv: Sequence[str]) -> None:
        """As tc(8) does: `tc qdisc add dev NAME root handle 1a: KIND ...`, `tc qdisc del dev NAME root`."""
        device = argv[4]
        self._queues[:] = [one for one in self._queues if one["dev"] != device]
        if argv[2] == "add":
            self._queues.append({"dev": device, "root": True, "handle": argv[7], "kind": argv[8]})


class SlowNameServerStandIn(SlowNameServer):
    """One that answers nobody."""

    def __init__(self, label: str, notes: Notes) -> None:
        self.address = f"127.0.0.1:<port of the late name server of {label}>"
        self._label = label
        self._notes = notes

    def stop(self) -> None:
        """Note it."""
        self._notes.add(f"answer the questions of {self._label} no more")


@dataclass(frozen=True)
class Known(Replica):
    """A replica that is known by what it is: the leader."""

    label: str = ""

    @property
    def name(self) -> str:
        """Return `the leader of world`."""
        return self.label


class NotingLauncher(ContainerLauncher):
    """A launcher before what stands in for the engine."""

    _stand_in: EngineStandIn

    def container(self, replica: Replica) -> ContainerStandIn | None:
        """Return what stands in for it."""
        if (made := super().container(replica)) is None:
            return None
        where = (made.engine, made.id, made.network, made.ports)
        return ContainerStandIn(*where, label=replica.name, stand_in=self._stand_in)

    def know(self, replica: Replica, same: Replica) -> None:
        """Have the container of a replica that is `same`, by another name."""
        box = self._boxes[same.name]
        there = self._stand_in.world.containers[box.id]
        self._boxes[replica.name] = Box(f"<{replica.name}>", box.network, box.command, box.terminal)
        networks = there["NetworkSettings"]["Networks"]
        self._stand_in.world.add_container(f"<{replica.name}>", networks, there["HostConfig"])


class LauncherStandIn(NotingLauncher):
    """The launcher of driver docker. Nobody prints anything there."""

    def __init__(self, engine: EngineStandIn, setting: Setting) -> None:
        super().__init__(engine, setting, lambda _: None, lambda _: None)
        self._stand_in = engine

    def _create(self, replica: Replica, command: Command) -> str:
        name = f"chaosctl-{self._setting.run_id}-{replica.service}-{replica.index}"
        self._stand_in.world.called[name] = f"<{replica.name}>"
        return super()._create(replica, command)

    def _follow(self, replica: Replica, container: str, process: Spawned, output: HTTPResponse) -> None:
        output.close()


class AdoptedLauncherStandIn(NotingLauncher, AdoptedLauncher):
    """That of containers which others make: each has a box. Nobody prints anything there."""

    def __init__(
        self, engine: EngineStandIn, inner_port: Callable[[Replica, str], int], boxes: Mapping[str, Box], *, ours: bool
    ) -> None:
        hooks = Hooks(lambda _: None, lambda _: None, lambda *_: None, lambda _: None)
        super().__init__(engine, inner_port, boxes, hooks, ours=ours)
        self._stand_in = engine

    def know(self, replica: Replica, same: Replica) -> None:
        """Have the container of a replica that is `same`, by another name."""
        super().know(replica, same)
        self._latest[replica.name] = self._latest[same.name]

    def _take(self, replica: Replica, box: Box, *, from_its_start: bool) -> Spawned:
        self._latest[replica.name] = Spawned(next(self._unseen), 0)
        return self._latest[replica.name]


@dataclass
class ContainerReplicaStandIn(ProcessStandIn):
    """A replica in a container that is not there, led by the launcher of its driver."""

    replica: Replica = field(kw_only=True)
    launcher: NotingLauncher = field(kw_only=True)
    own: Command = field(kw_only=True)
    command_of: CommandOf = field(kw_only=True)
    _command: Command | None = None

    def send(self, name: str) -> None:
        """Have the engine send it."""
        self.launcher.send(self.replica, self._process, name)

    def crash(self) -> None:
        """Note the signal."""
        self.notes.add(f"SIGKILL from this machine to the main process of {self.label}, past the engine")
        self.ends()

    def launch(self) -> None:
        """Note what starts it: anew, as another version."""
        self.launcher.start(self.replica, self._command or self.own)

    def container(self) -> Container | None:
        """Return what stands in for its container."""
        return self.launcher.container(self.replica)

    def inside(self) -> InsideStandIn | None:
        """Return what stands in for its processes. Raises NotReadyError if they would be out of reach."""
        if (container := self.container()) is not None:
            container.must_be_here()
        return super().inside()

    def freeze(self) -> None:
        """Have the engine pause it."""
        self.launcher.freeze(self.replica, self._process)

    def thaw(self) -> None:
        """Have the engine let it go on."""
        with self.if_late():
            self.launcher.thaw(self.replica, self._process)

    def thawing(self) -> tuple[Undo, ...]:
        """Return what lets it go on."""
        return self.launcher.thawing(self.replica, self._process)

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """Note the other version, and whether its image is there."""
        super().use(version, run, env, image)
        self._command = self.command_of(Version(version, run, env, image))

    def use_own(self) -> None:
        """Note that its own version comes back."""
        super().use_own()
        self._command = None

    def stop(self) -> None:
        """From now on its restart policy does not act."""
        self._held = True

    def wait_noticed(self, within_s: float) -> None:
        """Nothing is noticed here."""

    @property
    def _process(self) -> Spawned:
        return Spawned(self.number, 0)

    def _memory_limit(self) -> int | None:
        container = self.container()
        return None if container is None else container.inspect().get("HostConfig", {}).get("Memory")


@dataclass
class AdoptedReplicaStandIn(ContainerReplicaStandIn):
    """One in a container that others have made, whose restart policy is not known where the experiment names none."""

    def send(self, name: str) -> None:
        """Have the engine send it, unless its policy is to act."""
        super().send(name)
        if name in ENDING and self.definition.restart is None and not self._held:
            past = f"{name} comes from this machine, past the engine, which starts it again"
            self.notes.add(f"(where the container of {self.label} has a restart policy: {past})")
