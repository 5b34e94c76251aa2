"""What stands in for the relay and the replicas in a dry run: it notes what it is told, in words, and does nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service
from chaosctl.experiment.units import format_duration, format_size
from chaosctl.relay.contract import ProxySpec, ProxyState, RelayInfo, Toxic
from chaosctl.safety.burners import Burner
from chaosctl.safety.commands import Ran
from chaosctl.safety.descriptors import Descriptors
from chaosctl.safety.disk import FILLER
from chaosctl.safety.disk_undo import FillerUndo, ThrottleUndo, WritableUndo
from chaosctl.safety.exits import Exit
from chaosctl.safety.inside import Inside
from chaosctl.safety.inside_undo import ClockUndo, DescriptorsUndo
from chaosctl.safety.own_group import OwnGroup
from chaosctl.safety.process_clock import Shift
from chaosctl.safety.processes import Process
from chaosctl.safety.standing import Standing
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import CommandUndo, HttpUndo, SignalUndo, Undo, to_json

ENDING = ("SIGKILL", "SIGTERM")


@dataclass
class Notes:
    """What was asked for, in order."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Note one call."""
        self.lines.append(line)

    def take(self) -> tuple[str, ...]:
        """Return what was noted since the last call."""
        taken, self.lines = tuple(self.lines), []
        return taken


@dataclass(frozen=True)
class RelayStandIn:
    """A relay (`relay.contract.Relay`) that makes no proxy. A proxy listens at `<its name without the run's>`."""

    notes: Notes
    info: RelayInfo
    run_id: str

    def create(self, spec: ProxySpec) -> ProxyState:
        """Note the request that would make a proxy."""
        body = {"name": spec.name, "listen": spec.listen, "upstream": spec.upstream, "enabled": True}
        self.notes.add(request("POST", f"{self.info.api_url}/proxies", body))
        return self.proxy(spec.name)

    def proxy(self, name: str) -> ProxyState:
        """Return how it would stand."""
        listen = f"<{name.removeprefix(f'chaosctl.{self.run_id}.')}>"
        return ProxyState(name, listen, "", True, f"{self.info.api_url}/proxies/{quote(name, safe='')}", ())

    def set_enabled(self, name: str, enabled: bool) -> ProxyState:
        """Note the request."""
        self.notes.add(request("PATCH", self.proxy(name).api_url, {"enabled": enabled}))
        return self.proxy(name)

    def add_toxic(self, proxy: str, toxic: Toxic) -> None:
        """Note the request."""
        self.notes.add(request("POST", f"{self.proxy(proxy).api_url}/toxics", toxic.as_request()))

    def remove_toxic(self, proxy: str, toxic: str) -> None:
        """Note the request."""
        self.notes.add(request("DELETE", f"{self.proxy(proxy).api_url}/toxics/{quote(toxic, safe='')}"))

    def delete(self, name: str) -> None:
        """Note the request."""
        self.notes.add(request("DELETE", self.proxy(name).api_url))

    def close(self) -> None:
        """Nothing to end."""


def request(method: str, url: str, body: Mapping[str, object] | None = None) -> str:
    """Return a request in one line."""
    return f"{method} {url}" + ("" if body is None else f" {json.dumps(dict(body))}")


@dataclass
class ProcessStandIn:
    """A replica (`faults.contract.ProcessControl`) that runs nothing. What ends ends at once, what starts is ready.

    `number` stands for its process id. `label` is what it is called: `world[0]`, or a role, since who has that is known
    only when the fault is due.
    """

    service: str
    index: int
    label: str
    number: int
    definition: Service
    notes: Notes
    _held: bool = False
    _up: bool = True
    _wanted: str | None = None
    _version: str | None = None

    def pid(self) -> int | None:
        """Return its number."""
        return self.number if self._up else None

    def start_ticks(self) -> int | None:
        """Return 0, or None while it is down."""
        return 0 if self._up else None

    def signal(self, name: str) -> None:
        """Note the signal, and what comes of it."""
        self.notes.add(f"{name} to {self.label}")
        restart = self.definition.restart
        if name in ENDING and not self._held and restart is not None:
            self.notes.add(f"start {self.label} {format_duration(restart.after_ns)} after its end (its restart policy)")

    def expect(self, name: str) -> None:
        """Nobody ends it here."""

    def crash(self) -> None:
        """Note the signal."""
        self.signal("SIGKILL")

    def container(self) -> None:
        """Return None: there is no dry run of containers."""

    def inside(self) -> InsideStandIn | None:
        """Return what stands in for its processes."""
        return InsideStandIn(self.number, 0, False, self.label, self.notes) if self._up else None

    def disk(self) -> DiskStandIn | None:
        """Return its disk, if the target says that it has one."""
        return None if self.definition.disk_bytes is None else DiskStandIn(self.label, self.notes)

    def freeze(self) -> None:
        """Note the signal."""
        self.signal("SIGSTOP")

    def thaw(self) -> None:
        """The undo has done it."""

    def thawing(self) -> tuple[Undo, ...]:
        """Return the signal that lets it go on."""
        return (SignalUndo(self.number, 0, "SIGCONT"),)

    def frozen(self) -> bool:
        """Return False: nobody asks in a dry run."""
        return False

    def hold_down(self) -> None:
        """Note that its restart policy does not act."""
        self._held = True
        self.notes.add(f"hold {self.label} down")

    def release(self) -> None:
        """Note that it is started."""
        self._held, self._up, self._version = False, True, self._wanted
        as_version = f" as version {self._wanted}" if self._wanted is not None else ""
        self.notes.add(f"start {self.label}{as_version} if it is down")

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Note that its end is waited for."""
        self._up = False
        self.notes.add(f"wait for the end of {self.label}")
        return Exit(0, 0, None)

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """Note the other version; of its environment only the names, for there are secrets."""
        self._wanted = version
        with_command = "" if run is None else f": {' '.join(run)}"
        with_env = f" with {', '.join(env)} set" if env else ""
        self.notes.add(f"from now on {self.label} starts as version {version}{with_command}{with_env}")

    def use_own(self) -> None:
        """Note that its own version comes back."""
        self._wanted = None
        self.notes.add(f"from now on {self.label} starts as the target declares it")

    def standing(self) -> Standing:
        """Return how it would stand."""
        return Standing(self._wanted, self._version, self._wanted != self._version, (), {}, ready=True)

    def said(self) -> list[str]:
        """Return nothing."""
        return []


@dataclass(frozen=True)
class InsideStandIn(Inside):
    """The processes of a replica, of which there is one of any name."""

    label: str
    notes: Notes

    def members(self) -> tuple[Process, ...]:
        """Return what stands for all of them."""
        return self.named("all")

    def named(self, name: str) -> tuple[Process, ...]:
        """Return what stands for those that are called so; its number is the replica's, below zero."""
        return (Process(-self.pid, name, "S", self.pid, self.pid, 0),)

    def signal(self, process: Process, name: str) -> None:
        """Note the signal."""
        self.notes.add(f"{name} to {process.command} in {self.label}")

    def descriptors(self, process: Process) -> Descriptors:
        """Return three that are open, of as many as there usually may be."""
        return Descriptors(frozenset(range(3)), 1024)

    def limit_descriptors(self, process: Process, limit: int) -> None:
        """Note that it is limited; how many it will have open is not known."""
        self.notes.add(f"limit the open files of {process.command} processes in {self.label} to what they have open")

    def burn(self, mark: str, run_id: str, what: str, amount: int, controllers: Sequence[str]) -> Burner:
        """Note it."""
        self.notes.add(f"burn beside {self.label}: {what} {amount}")
        return Burner(None, ())

    def own_group(self, controller: str, name: str) -> OwnGroup:
        """Return what stands for it."""
        return OwnGroup(
            f"<{controller} group of {self.label}>/chaosctl-{name}", f"<{controller} group of {self.label}>"
        )

    def regroup(self, group: OwnGroup, limits: Mapping[str, str]) -> None:
        """Note it."""
        held = ", ".join(f"{file} {value}" for file, value in limits.items())
        self.notes.add(f"put all processes of {self.label} into {group.folder} with {held}")

    def shift_clock(self, process: Process, shift: Shift) -> None:
        """Note that it is shifted."""
        off = f"{format_duration(shift.offset_ns)} off, {shift.rate:g} times as fast"
        self.notes.add(f"shift the clock of {process.command} processes in {self.label}: {off}")


@dataclass(frozen=True)
class DiskStandIn:
    """A disk (`faults.contract.DiskControl`) that nobody has made. Nobody asks it anything in a dry run."""

    label: str
    notes: Notes

    @property
    def folder(self) -> str:
        """Return what stands for it."""
        return f"<{self.label}.state>"

    def free_bytes(self) -> int:
        """Return 0."""
        return 0

    def write(self, size_bytes: int) -> int:
        """Write nothing."""
        return 0

    def filling(self) -> Undo:
        """Return the removal of the file."""
        return FillerUndo(f"{self.folder}/{FILLER}")

    def fill(self, leave_bytes: int) -> None:
        """Note it."""
        self.notes.add(f"fill the disk of {self.label} with {self.folder}/{FILLER} but for {format_size(leave_bytes)}")

    def failing(self) -> Undo:
        """Return what ends it."""
        return WritableUndo(f"{self.folder}.disk")

    def fail(self) -> None:
        """Note it."""
        self.notes.add(f"make {self.folder}.disk, the file that holds the disk of {self.label}, immutable")

    def slowing(self) -> Undo:
        """Return what lifts the bounds."""
        return ThrottleUndo((f"<control group of {self.label}>",), f"<device of {self.label}>")

    def slow(self, bounds: Throttle) -> None:
        """Note it."""
        rate = None if bounds.bytes_per_s is None else f"{format_size(bounds.bytes_per_s)}/s"
        self.notes.add(f"hold {self.label} to {rate or f'{bounds.operations_per_s} operations/s'} on its disk")

    def held_to(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def write_within(self, size_bytes: int, times: int, within_s: float) -> float | None:
        """Write nothing."""
        return 0.0


@dataclass(frozen=True)
class DeskStandIn:
    """A desk (`faults.contract.Desk`) at which commands are only noted."""

    name: str
    values: Mapping[str, str]
    notes: Notes

    def fill_in(self, words: Sequence[str]) -> tuple[str, ...]:
        """Complete `${...}`, with stand-ins. Raises ChaosctlError for what has no value."""
        return expand(words, self.values)

    def run(self, argv: Sequence[str], fault_id: str, within_s: float) -> Ran:
        """Note it."""
        self.notes.add(f"run {_in_one_line(argv)} for {self.name}, within {within_s:g} s")
        return Ran(0, "")

    def undo(self, argv: Sequence[str], fault_id: str, within_s: float) -> CommandUndo:
        """Return it as data."""
        return CommandUndo(tuple(argv), "", "", within_s)


def _in_one_line(argv: Sequence[str]) -> str:
    # Not quoted as a shell does, which would quote every stand-in.
    return " ".join(repr(word) if " " in word or not word else word for word in argv)


def undo_in_words(action: Undo, labels: Mapping[int, str]) -> str:
    """Return what an undo does; `labels` are those of the stand-ins by their numbers."""
    if isinstance(action, HttpUndo):
        return request(action.method, action.url, action.body)
    if isinstance(action, SignalUndo):
        return f"{action.signal} to {labels[action.pid]}"
    if isinstance(action, DescriptorsUndo):
        return f"give the processes in {labels[action.pid]} their limits on open files again"
    if isinstance(action, ClockUndo):
        return f"put right the clocks of the processes in {labels[action.pid]}"
    if isinstance(action, CommandUndo):
        return f"run {_in_one_line(action.argv)}, within {action.within_s:g} s"
    if isinstance(action, FillerUndo):
        return f"remove {action.path}"
    if isinstance(action, WritableUndo):
        return f"let {action.image} take writes again"
    if isinstance(action, ThrottleUndo):
        return f"lift the bounds of {', '.join(action.groups)} on {action.device}"
    return json.dumps(to_json(action))
