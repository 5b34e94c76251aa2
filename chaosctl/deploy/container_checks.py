"""When a container counts as ready: as a process does, with its command run inside; or when its image says healthy.

Its ports are asked at its own address and not where they are published: the engine's proxy accepts there for it, before
it listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from chaosctl.deploy.containers import ContainerLauncher
from chaosctl.deploy.contract import Replica
from chaosctl.deploy.readiness import Check, LogCheck, check_of
from chaosctl.exchange import exchange
from chaosctl.experiment.model import Hello, Ready
from chaosctl.safety.engine import EngineError

# Says nothing and expects nothing: a bare connection.
NOTHING = Hello(send="", expect="", http=None, port=None)
_HELD_S = 0.3


class HealthCheck:
    """Ready when the engine says healthy."""

    def __init__(self, launcher: ContainerLauncher, replica: Replica) -> None:
        self._launcher = launcher
        self._replica = replica
        self._last = "nothing yet"

    def describe(self) -> str:
        """Say what it is, and what the engine said last."""
        return f"the health check of its image says healthy (last: {self._last})"

    def holds(self, within_s: float) -> bool:
        """Ask the engine."""
        health = self._launcher.state(self._replica).get("Health") or {}
        said = [line.strip() for one in (health.get("Log") or [])[-1:] for line in str(one.get("Output")).splitlines()]
        self._last = f"{health.get('Status', 'there is none')}{': ' + said[-1] if said else ''}"
        return health.get("Status") == "healthy"


class InsideCheck:
    """Ready when a command inside the container exits with 0."""

    def __init__(self, launcher: ContainerLauncher, replica: Replica, argv: Sequence[str]) -> None:
        self._launcher = launcher
        self._replica = replica
        self._argv = tuple(argv)
        self._last = "not run yet"

    def describe(self) -> str:
        """Say which command, and how it ended last."""
        return f"`{' '.join(self._argv)}` in its container exits with 0 (last: {self._last})"

    def holds(self, within_s: float) -> bool:
        """Run it."""
        try:
            code = self._launcher.execute(self._replica, self._argv, max(within_s, 0.1))
        except EngineError as error:
            self._last = str(error)
            return False
        self._last = f"still running after {within_s:.1f} s" if code is None else f"code {code}"
        return code == 0


class _AtItsAddress:
    """A check of ports at the container's own address, which is known once it runs."""

    def __init__(self, ready: Ready, launcher: ContainerLauncher, replica: Replica, ports: Mapping[str, int]) -> None:
        self._ready = ready
        self._launcher = launcher
        self._replica = replica
        self._ports = ports
        self._check: Check | None = None

    def describe(self) -> str:
        """Say what has to happen."""
        return self._check.describe() if self._check else "its container has an address"

    def holds(self, within_s: float) -> bool:
        """Look there."""
        if self._check is None:
            if not (address := self._launcher.address(self._replica)):
                return False
            inside = replace(self._replica, ports={name: f"{address}:{number}" for name, number in self._ports.items()})
            self._check = check_of(self._ready, inside, (), {}, self._replica.state_dir)
        return self._check.holds(within_s)


class _Held:
    """Ready when a published port of another machine holds a connection: the engine's proxy may accept there for a
    container that does not listen yet, and then closes at once."""

    def __init__(self, port: str, address: str) -> None:
        self._port = port
        self._address = address
        self._last = "not tried yet"

    def describe(self) -> str:
        """Say which port."""
        return f"port {self._port} ({self._address}) holds a connection (last: {self._last})"

    def holds(self, within_s: float) -> bool:
        """Connect, and listen for a moment."""
        met = exchange(self._address, NOTHING, min(max(within_s, 0.1), _HELD_S))
        self._last = f"{met.outcome}: {met.detail}"
        return met.connected_ns is not None and met.outcome in ("silent", "answered", "wrong")


def container_checks(
    ready: Ready | None,
    launcher: ContainerLauncher,
    replica: Replica,
    argv: Sequence[str],
    ports: Mapping[str, int],
    *,
    remote: bool = False,
) -> Callable[[], Check | None]:
    """Return what makes a readiness check for each start. `argv` is `ready.command` filled in, `ports` are the numbers
    inside; from another machine than the engine's they are asked where they are published."""
    if ready is None:
        return lambda: None
    if ready.log is not None:
        pattern = ready.log
        return lambda: LogCheck(pattern, replica.log_path)
    if ready.health:
        return lambda: HealthCheck(launcher, replica)
    if ready.command is not None:
        return lambda: InsideCheck(launcher, replica, argv)
    if remote:
        if ready.tcp is not None and ready.tcp in replica.ports:
            port = ready.tcp
            return lambda: _Held(port, replica.ports[port])
        return lambda: check_of(ready, replica, (), {}, replica.state_dir)
    return lambda: _AtItsAddress(ready, launcher, replica, ports)
