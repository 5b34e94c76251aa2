"""Stage 4, faults: the contract. One file a fault: inject, heal, prove.

The life of a fault: `prepare` says what will undo it (the runner writes that to disk, fsync, ahead of the due time);
`inject` does it and returns when; `prove` looks at the world; healing plays the undo actions, for a process fault with
`restore`; `prove_healed` looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.model import Hello
from chaosctl.safety.commands import Ran
from chaosctl.safety.container import Container
from chaosctl.safety.exits import Exit
from chaosctl.safety.inside import Inside
from chaosctl.safety.standing import Standing
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import Played, Undo, play

Stream = Literal["upstream", "downstream"]


class ProxyControl(Protocol):
    """One proxy of a link, as a fault may change it (implemented over a relay by the runner)."""

    @property
    def name(self) -> str:
        """The relay's name for it."""
        ...

    @property
    def listen(self) -> str:
        """`host:port` where clients connect."""
        ...

    @property
    def upstream(self) -> str:
        """`host:port` where it leads."""
        ...

    @property
    def api_url(self) -> str:
        """Where it can be changed: `http://host:port/proxies/NAME`."""
        ...

    def add_toxic(self, name: str, type: str, stream: Stream, attributes: Mapping[str, int]) -> None:
        """Add a toxic. Raises RelayError."""
        ...

    def set_enabled(self, enabled: bool) -> None:
        """Open or shut it. Raises RelayError."""
        ...


class DiskControl(Protocol):
    """The disk of a replica's own, as a fault may treat it (implemented by the deployment). What returns an undo raises
    NotReadyError where the disk, or the replica that is to be held, is not there."""

    @property
    def folder(self) -> str:
        """Where it is mounted on this machine."""
        ...

    def free_bytes(self) -> int:
        """Return what is free. Raises OSError."""
        ...

    def write(self, size_bytes: int) -> int:
        """Write so much from here and wait until the disk has it; return 0 or the error number. Nothing stays."""
        ...

    def filling(self) -> Undo:
        """Return what undoes `fill`, as data."""
        ...

    def fill(self, leave_bytes: int) -> None:
        """Take all that is free but so many bytes. Raises NotReadyError."""
        ...

    def failing(self) -> Undo:
        """Return what undoes `fail`, as data."""
        ...

    def fail(self) -> None:
        """From now on, what it has to write fails. Raises NotReadyError, also where that cannot be done."""
        ...

    def slowing(self) -> Undo:
        """Return what undoes `slow`, as data."""
        ...

    def slow(self, bounds: Throttle) -> None:
        """Hold the replica to it. Raises NotReadyError."""
        ...

    def held_to(self) -> tuple[str, ...]:
        """Return the bounds that the kernel knows. Raises NotReadyError, OSError."""
        ...

    def write_within(self, size_bytes: int, times: int, within_s: float) -> float | None:
        """Write so much, so often, in the place of the replica, and wait each time until the disk has it. Return the
        seconds that it took, None if that was more than `within_s`. Raises NotReadyError. Nothing stays."""
        ...


class ProcessControl(Protocol):
    """One replica, as a fault may treat it (implemented by the deployment's driver)."""

    service: str
    index: int

    def pid(self) -> int | None:
        """Return its process id now, None while it is down."""
        ...

    def start_ticks(self) -> int | None:
        """Return the start time of that process (field 22 of /proc/PID/stat)."""
        ...

    def signal(self, name: str) -> None:
        """Send a signal to the main process, and to it only. Raises NotReadyError when there is none."""
        ...

    def expect(self, name: str) -> None:
        """Take an end of the main process by this signal for what was asked for, whoever sends it."""
        ...

    def crash(self) -> None:
        """Send SIGKILL to the main process from this machine, past the engine that may watch over it. Raises
        NotReadyError when there is none, or where this user may not."""
        ...

    def container(self) -> Container | None:
        """Return its container; None for a process, and before its first start."""
        ...

    def inside(self) -> Inside | None:
        """Return what finds all of its processes; None while it is down. Raises NotReadyError if they are elsewhere."""
        ...

    def disk(self) -> DiskControl | None:
        """Return the disk of its own; None for one that has none."""
        ...

    def freeze(self) -> None:
        """Stop it from running until it is thawed. Raises NotReadyError when it is down."""
        ...

    def thaw(self) -> None:
        """Let it go on. Does nothing for one that is down or not frozen."""
        ...

    def thawing(self) -> tuple[Undo, ...]:
        """Return what thaws it if it is frozen as it is now, as data; nothing while it is down."""
        ...

    def frozen(self) -> bool:
        """Say whether it is frozen now, as the kernel or the engine sees it."""
        ...

    def hold_down(self) -> None:
        """From now on, its restart policy does not act."""
        ...

    def release(self) -> None:
        """The restart policy acts again; a replica that is down is started now, whatever its policy."""
        ...

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Return how that process ended, as its parent saw it; None if it did not end in that time."""
        ...

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """From now on it is started as this version, whatever starts it; what runs is left alone. `run` stands in
        place of its own command, `image` of a container's own, `env` is added. Raises ChaosctlError for a placeholder
        without a value, or an image that is not there."""
        ...

    def use_own(self) -> None:
        """From now on it is started as the target declares it; what runs is left alone."""
        ...

    def standing(self) -> Standing:
        """Return which version is wanted, and which one was started last."""
        ...

    def said(self) -> list[str]:
        """Return the last lines of its output, oldest first."""
        ...


class Desk(Protocol):
    """Where the commands that the operator gives for one replica are run, or (in a dry run) only noted."""

    @property
    def name(self) -> str:
        """The replica: `world[0]`."""
        ...

    def fill_in(self, words: Sequence[str]) -> tuple[str, ...]:
        """Complete `${self.main}` and the like. Raises ChaosctlError for what has no value."""
        ...

    def run(self, argv: Sequence[str], fault_id: str, within_s: float) -> Ran:
        """Run it to its end, or for `within_s`; what it prints goes to the log of the fault."""
        ...

    def undo(self, argv: Sequence[str], fault_id: str, within_s: float) -> Undo:
        """Return what runs it later, in whatever process, as data."""
        ...


@dataclass(frozen=True)
class Line:
    """A link between two services as its clients see it: `listen` is the relay's `host:port` that leads to the replica
    `server` (`world[0]`), for every replica of the service `client`."""

    client: str
    server: str
    listen: str

    def joins(self, client: str, server: str) -> bool:
        """Return whether it leads from the one replica to the other."""
        return self.server == server and client.rpartition("[")[0] == self.client


@dataclass(frozen=True)
class Wire:
    """What a link without a relay is made of: packets between the container of a client and a port of a server's."""

    client: str
    server: str
    from_container: Container
    to_container: Container
    port: int


@dataclass(frozen=True)
class Place:
    """Where a fault acts. A link has proxies (and the `hello` of the service it leads to, if that declared one);
    a service has processes. A link that no relay carries has `wires` instead of proxies.

    `on` is as in the plan, but where that names a role, the replicas that have it. `roles` are then what every replica
    of the service said of itself when it was asked, by its name, for people.
    `held`: the experiment says `for:`, so what is taken down stays down until the heal.
    `desks` are where commands for its replicas are run, one a process, in their order.
    `groups`: what a fault that parts replicas does not part, replicas by name; `processes` are then all of them, and
    `lines` the links between services.
    `run_id` is whose processes those are that a fault starts.
    `play` is what plays an undo which a fault needs done at once.
    `usual_delays_ns`: latency and jitter that a proxy always has (its cohort's), by proxy name; a proof subtracts them.
    """

    on: str
    proxies: tuple[ProxyControl, ...] = ()
    processes: tuple[ProcessControl, ...] = ()
    desks: tuple[Desk, ...] = ()
    hello: Hello | None = None
    held: bool = False
    usual_delays_ns: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
    groups: tuple[tuple[str, ...], ...] = ()
    lines: tuple[Line, ...] = ()
    wires: tuple[Wire, ...] = ()
    play: Callable[[Undo], Played] = play


@dataclass(frozen=True)
class Applied:
    """When the effect was asked for and when the call came back (monotonic ns), and on what, for people."""

    called_ns: int
    returned_ns: int
    targets: tuple[str, ...]
    memo: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proof:
    """Whether the effect was seen in the world, and what was seen, in a sentence with numbers."""

    proved: bool
    text: str


NowNs = Callable[[], int]


class Fault(Protocol):
    """One kind of fault. Implementations hold no state: what they need to remember is in `Applied.memo`."""

    kind: FaultKind

    def prepare(self, fault_id: str, place: Place, params: Any) -> tuple[Undo, ...]:
        """Return what undoes it, before anything is changed. Must be quick and must not change anything."""
        ...

    def inject(self, fault_id: str, place: Place, params: Any, now_ns: NowNs) -> Applied:
        """Do it. Raises NotReadyError or RelayError when it could not be done; then nothing was proved."""
        ...

    def prove(self, fault_id: str, place: Place, params: Any, applied: Applied) -> Proof:
        """Look at the world for the effect, within 2 s. Never raises for what it could not see: unproved."""
        ...

    def restore(self, fault_id: str, place: Place, params: Any) -> None:
        """Bring back what the undo actions cannot (start a killed replica). Idempotent; does nothing for most."""
        ...

    def prove_healed(self, fault_id: str, place: Place, params: Any) -> Proof:
        """Look at the world for the absence of the effect, within 2 s."""
        ...


__all__ = [
    "Applied",
    "Container",
    "Desk",
    "DiskControl",
    "Exit",
    "Fault",
    "FaultKind",
    "Inside",
    "Line",
    "NowNs",
    "Params",
    "Place",
    "ProcessControl",
    "Proof",
    "ProxyControl",
    "Ran",
    "Standing",
    "Wire",
]
