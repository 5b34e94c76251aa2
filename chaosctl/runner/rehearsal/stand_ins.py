"""What stands in for the relay and the replicas in a dry run: it notes what it is told, in words, and does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import quote

from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service
from chaosctl.experiment.units import format_duration
from chaosctl.relay.contract import ProxySpec, ProxyState, RelayInfo, Toxic
from chaosctl.runner.rehearsal.inside_stand_ins import DiskStandIn, InsideStandIn
from chaosctl.runner.rehearsal.notes import Notes, request
from chaosctl.runner.rehearsal.undo_words import in_one_line
from chaosctl.safety.commands import Ran
from chaosctl.safety.container import Container
from chaosctl.safety.exits import Exit
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.standing import Standing
from chaosctl.safety.undo import CommandUndo, SignalUndo, Undo

ENDING = ("SIGKILL", "SIGTERM")


@dataclass(frozen=True)
class RelayStandIn:
    """A relay (`relay.contract.Relay`) that makes no proxy. A proxy listens at `<its name without the run's>`, or at
    `HOST:<port of ...>` where the host is not loopback."""

    notes: Notes
    info: RelayInfo
    run_id: str
    _listens: dict[str, str] = field(default_factory=dict)

    def create(self, spec: ProxySpec) -> ProxyState:
        """Note the request that would make a proxy."""
        body = {"name": spec.name, "listen": spec.listen, "upstream": spec.upstream, "enabled": True}
        self.notes.add(request("POST", f"{self.info.api_url}/proxies", body))
        host, _, port = spec.listen.rpartition(":")
        if port != "0":
            self._listens[spec.name] = spec.listen
        elif host != LOOPBACK:
            self._listens[spec.name] = f"{host}:<port of {self._short(spec.name)}>"
        return self.proxy(spec.name)

    def _short(self, name: str) -> str:
        return name.removeprefix(f"chaosctl.{self.run_id}.")

    def proxy(self, name: str) -> ProxyState:
        """Return how it would stand."""
        listen = self._listens.get(name, f"<{self._short(name)}>")
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


@dataclass
class ProcessStandIn:
    """A replica (`faults.contract.ProcessControl`) that runs nothing. What is asked to end takes too long, so that
    what is done then is seen; what starts is ready.

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
    _is_asked: bool = False
    _is_late: bool = False

    def pid(self) -> int | None:
        """Return its number."""
        return self.number if self._up else None

    def start_ticks(self) -> int | None:
        """Return 0, or None while it is down."""
        return 0 if self._up else None

    def signal(self, name: str) -> None:
        """Note the signal, and what comes of it."""
        with self.if_late():
            self.send(name)
        # What comes of its end was told when it was asked to.
        if name in ENDING and not self._is_late:
            self._is_asked = name == "SIGTERM"
            self.ends()

    def if_late(self) -> AbstractContextManager[None]:
        """Have what is noted meanwhile depend on whether it has ended, once it was waited for."""
        return self.notes.under("if it still runs") if self._is_late else nullcontext()

    def send(self, name: str) -> None:
        """Note the signal alone."""
        self.notes.add(f"{name} to {self.label}")

    def ends(self) -> None:
        """Note what its restart policy makes of an end."""
        restart = self.definition.restart
        if not self._held and restart is not None:
            self.notes.add(f"start {self.label} {format_duration(restart.after_ns)} after its end (its restart policy)")
            self.launch()

    def launch(self) -> None:
        """Note what starts it, where that takes more than these words."""

    def expect(self, name: str) -> None:
        """Nobody ends it here."""

    def crash(self) -> None:
        """Note the signal."""
        self.signal("SIGKILL")

    def container(self) -> Container | None:
        """Return None: it is in none."""
        return None

    def inside(self) -> InsideStandIn | None:
        """Return what stands in for its processes."""
        if not self._up:
            return None
        boxed, limit = self.container() is not None, self._memory_limit()
        return InsideStandIn(self.number, 0, boxed, self.label, self.notes, self.ends, limit)

    def _memory_limit(self) -> int | None:
        return None

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
        self.launch()

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Note that its end is waited for: in vain where it was only asked to."""
        if self._is_asked:
            self._is_asked, self._is_late = False, True
            # Of the time to wait, a little has gone by.
            within = format_duration(round(within_s * 100) * 10_000_000)
            self.notes.add(f"wait for the end of {self.label}, for {within} at most")
            return None
        self._is_late = False
        self._up = not self._held and self.definition.restart is not None
        self.notes.add(f"wait for the end of {self.label}")
        return Exit(0, 0, None)

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """Note the other version; of its environment only the names, for there are secrets."""
        self._wanted = version
        with_command = "" if run is None else f": {' '.join(run)}"
        with_env = f" with {', '.join(env)} set" if env else ""
        from_image = "" if image is None else f" from the image {image}"
        self.notes.add(f"from now on {self.label} starts as version {version}{from_image}{with_command}{with_env}")

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
        self.notes.add(f"run {in_one_line(argv)} for {self.name}, within {within_s:g} s")
        return Ran(0, "")

    def undo(self, argv: Sequence[str], fault_id: str, within_s: float) -> CommandUndo:
        """Return it as data."""
        return CommandUndo(tuple(argv), "", "", within_s)
