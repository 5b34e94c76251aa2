"""Where the commands that the operator gives for a replica are run (`faults.contract.Desk`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.deploy.contract import Driver
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Target
from chaosctl.faults.contract import ProcessControl
from chaosctl.safety.commands import Ran, run_command
from chaosctl.safety.undo import CommandUndo


@dataclass(frozen=True)
class ReplicaDesk:
    """The desk of one replica. `environ` carries the label of the run, so that a command which is under way when
    chaosctl is killed is ended before what undoes it is played."""

    name: str
    values: Mapping[str, str]
    folder: Path
    logs: Path
    environ: Mapping[str, str]

    def fill_in(self, words: Sequence[str]) -> tuple[str, ...]:
        """Complete `${...}`. Raises ChaosctlError for what has no value."""
        return expand(words, self.values)

    def run(self, argv: Sequence[str], fault_id: str, within_s: float) -> Ran:
        """Run it."""
        return run_command(argv, str(self.folder), self._log_path(fault_id), self.environ, within_s)

    def undo(self, argv: Sequence[str], fault_id: str, within_s: float) -> CommandUndo:
        """Return it as data. Its environment is not part of it: that is where secrets are."""
        return CommandUndo(tuple(argv), str(self.folder), self._log_path(fault_id), within_s)

    def _log_path(self, fault_id: str) -> str:
        return str(self.logs / f"{fault_id}.log")


@dataclass(frozen=True)
class Desks:
    """Gives each replica its desk. `folder` is the experiment's, `bundle` the run's."""

    target: Target
    driver: Driver
    folder: Path
    bundle: Path
    environ: Mapping[str, str]

    def of(self, processes: Sequence[ProcessControl]) -> tuple[ReplicaDesk, ...]:
        """Return the desks of these replicas. A command runs in the folder of its service."""
        return tuple(self._desk(process.service, process.index) for process in processes)

    def _desk(self, service: str, index: int) -> ReplicaDesk:
        return ReplicaDesk(
            name=f"{service}[{index}]",
            values=self.driver.values(service, index),
            folder=(self.folder / self.target.services[service].folder).absolute(),
            logs=(self.bundle / "logs").absolute(),
            environ=self.environ,
        )
