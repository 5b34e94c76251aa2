"""The `external` driver: services that are running already. Nothing is started, and nothing of them is ever ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from chaosctl.deploy.contract import Replica, Setup
from chaosctl.deploy.fleet import place_in, values_of
from chaosctl.deploy.readiness import POLL_S, check_of
from chaosctl.errors import NotReadyError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Service
from chaosctl.safety.exits import Exit
from chaosctl.safety.ports import LOOPBACK
from chaosctl.safety.standing import Standing
from chaosctl.safety.target_locks import TargetLocks
from chaosctl.safety.undo import Undo


@dataclass(frozen=True)
class ExternalReplica:
    """Implements `faults.contract.ProcessControl` for what is not ours: none of its processes is known or touched."""

    service: str
    index: int

    def pid(self) -> int | None:
        """Return None: it may run anywhere."""
        return None

    def start_ticks(self) -> int | None:
        """Return None."""
        return None

    def signal(self, name: str) -> None:
        """Raises NotReadyError."""
        self._refuse(f"it is sent no {name}")

    def freeze(self) -> None:
        """Raises NotReadyError."""
        self._refuse("it is not frozen")

    def thaw(self) -> None:
        """Do nothing: it was never frozen."""

    def thawing(self) -> tuple[Undo, ...]:
        """Return nothing."""
        return ()

    def frozen(self) -> bool:
        """Return False."""
        return False

    def crash(self) -> None:
        """Raises NotReadyError."""
        self._refuse("it is sent no SIGKILL")

    def expect(self, name: str) -> None:
        """Do nothing: nobody sees its end."""

    def container(self) -> None:
        """Return None: if it has one, that is not ours."""

    def network(self) -> None:
        """Return None: its processes are not ours."""

    def hold_down(self) -> None:
        """Raises NotReadyError."""
        self._refuse("it is not held down")

    def release(self) -> None:
        """Do nothing: it was never held down."""

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Return None: nobody sees its end."""
        return None

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """Raises NotReadyError."""
        self._refuse("it gets no other version")

    def use_own(self) -> None:
        """Do nothing: it has no other version."""

    def standing(self) -> Standing:
        """Say that it is as it is wanted."""
        return Standing(wanted=None, version=None, outdated=False, argv=(), added={}, ready=True)

    def said(self) -> list[str]:
        """Return nothing: its output goes elsewhere."""
        return []

    def _refuse(self, so: str) -> NoReturn:
        raise NotReadyError(f"{self.service}[{self.index}] was not started by chaosctl, so {so}; use `fault: command`")


class ExternalDriver:
    """Implements `deploy.contract.Driver`."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._target = setup.target
        self._run_id = setup.run_id
        self._replicas: dict[tuple[str, int], Replica] = {}
        self._links: dict[str, str] = {}
        self._locks: TargetLocks | None = None

    def link_listen(self, link: str, replica: int) -> str:
        """Return a free port of loopback, where the experiment does not say otherwise (`listen`)."""
        return f"{LOOPBACK}:0"

    def network(self) -> None:
        """Return None: nobody knows as what they run."""

    def undo(self) -> tuple[Undo, ...]:
        """Return nothing: it starts nothing."""
        return ()

    def images(self) -> Mapping[str, Any]:
        """Return nothing: what they run from is not known."""
        return {}

    def allocate(self) -> tuple[Replica, ...]:
        """Lock the target for this run, and say where it is. Raises NotReadyError while another run acts on it."""
        if not self._replicas:
            services = self._target.services
            every = (address for one in services.values() for those in one.addresses.values() for address in those)
            self._locks = TargetLocks(every, self._run_id)
            self._replicas = {
                (name, index): place_in(
                    self._setup.bundle, name, index, {port: those[index] for port, those in service.addresses.items()}
                )
                for name, service in services.items()
                for index in range(service.replicas)
            }
        return tuple(self._replicas.values())

    def up(self, links: Mapping[str, str]) -> None:
        """Wait until everything is ready. Raises NotReadyError."""
        self.allocate()
        self._links = dict(links)
        for name in self._setup.start_order:
            for index in range(self._target.services[name].replicas):
                self._wait_ready(self._replicas[name, index], self._target.services[name])
                self._setup.sink("service_ready", service=name, replica=index)

    def process(self, service: str, index: int) -> ExternalReplica:
        """Return what stands for the replica. Raises NotReadyError when there is none."""
        if (service, index) not in self._replicas:
            known = ", ".join(one.name for one in self._replicas.values())
            raise NotReadyError(f"there is no {service}[{index}]; there are: {known}")
        return ExternalReplica(service, index)

    def values(self, service: str, index: int) -> Mapping[str, str]:
        """Return what `${...}` stands for (see `Fleet.values`); `state` is a folder of the run's own."""
        return values_of(self._replicas[service, index], self.allocate(), self._links)

    def down(self) -> tuple[str, ...]:
        """End nothing; from now on another run may act on the target. Idempotent."""
        if self._locks is not None:
            self._locks.release()
        return ()

    def _wait_ready(self, replica: Replica, service: Service) -> None:
        if (ready := service.ready) is None:
            return
        command = expand(ready.command or (), self.values(replica.service, replica.index))
        env = {**self._setup.environ, **service.env}
        check = check_of(ready, replica, command, env, (self._setup.folder / service.folder).absolute())
        within_s = ready.within_ns / 1e9
        end_s = time.monotonic() + within_s
        while not check.holds(max(POLL_S, end_s - time.monotonic())):
            if self._setup.abort.wait(POLL_S):
                raise NotReadyError(f"stopped before {replica.name} was ready")
            if time.monotonic() > end_s:
                raise NotReadyError(
                    f"{replica.name} was not ready within {within_s:g} s; waited until {check.describe()}; "
                    "start it, mend its `addresses`, or give it longer with `within`"
                )
