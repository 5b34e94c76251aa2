"""The disks that services say they have: made before the services start, and what faults may do to them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chaosctl.deploy.contract import Replica
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Service
from chaosctl.safety import throttle
from chaosctl.safety.disk import Disk, disks_lack
from chaosctl.safety.disk_undo import DiskUndo, FillerUndo, ThrottleUndo, WritableUndo
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import play


def undo_of_disks(bundle: Path, services: Mapping[str, Service]) -> tuple[DiskUndo, ...]:
    """Return what takes the disks of all replicas away. Raises NotReadyError where none can be made."""
    disks = [
        _disk_of(bundle, name, index)
        for name, service in services.items()
        if service.disk_bytes is not None
        for index in range(service.replicas)
    ]
    if disks and (lacks := disks_lack()) is not None:
        raise NotReadyError(f"no disk can be made here: {lacks}, or leave `disk` out")
    return tuple(DiskUndo(disk.image, disk.folder) for disk in disks)


def with_disk(replica: Replica, service: Service, bundle: Path, environ: Mapping[str, str]) -> Replica:
    """Give a replica the disk that its service says it has, if any: its state folder is on it from now on.

    Raises NotReadyError.
    """
    if service.disk_bytes is None:
        return replica
    disk = _disk_of(bundle, replica.service, replica.index)
    disk.make(service.disk_bytes, environ)
    return replace(replica, disk=disk)


def take_away_disks(bundle: Path, services: Mapping[str, Service]) -> tuple[str, ...]:
    """Take them away, once nothing uses them. Return what could not be, a sentence each."""
    try:
        played = [play(undo) for undo in undo_of_disks(bundle, services)]
    except NotReadyError:
        return ()  # as at the start: none was made
    return tuple(one.text for one in played if not one.done)


def _disk_of(bundle: Path, service: str, index: int) -> Disk:
    folder = bundle / "state" / f"{service}-{index}"
    return Disk(f"{folder}.disk", str(folder))


@dataclass(frozen=True)
class ReplicaDisk:
    """Implements `faults.contract.DiskControl`. `pid` tells the main process of the replica now."""

    disk: Disk
    pid: Callable[[], int | None]

    @property
    def folder(self) -> str:
        """Return where it is mounted."""
        return self.disk.folder

    def free_bytes(self) -> int:
        """Ask the kernel. Raises OSError."""
        return self.disk.free_bytes()

    def write(self, size_bytes: int) -> int:
        """Write to it from here."""
        return self.disk.write(size_bytes)

    def filling(self) -> FillerUndo:
        """Return what removes the file that fills it. Raises NotReadyError."""
        return FillerUndo(self.disk.filling())

    def fill(self, leave_bytes: int) -> None:
        """Fill it. Raises NotReadyError."""
        self.disk.fill(leave_bytes)

    def failing(self) -> WritableUndo:
        """Return what lets its file take writes again."""
        return WritableUndo(self.disk.image)

    def fail(self) -> None:
        """Its file takes no writes. Raises NotReadyError."""
        self.disk.refuse_writes()

    def fails(self) -> bool:
        """Say whether its file takes none. Raises OSError."""
        return self.disk.refuses_writes()

    def slowing(self) -> ThrottleUndo:
        """Return what lifts the bounds. Raises NotReadyError, also while the replica is down."""
        return ThrottleUndo(self._groups(), self.disk.device())

    def slow(self, bounds: Throttle) -> None:
        """Have the kernel hold the replica's groups to it. Raises NotReadyError."""
        throttle.hold(self._groups(), self.disk.device(), bounds)

    def held_to(self) -> tuple[str, ...]:
        """Ask the kernel. Raises NotReadyError, OSError."""
        return throttle.held(self._groups(), self.disk.device())

    def write_within(self, size_bytes: int, times: int, within_s: float) -> float | None:
        """Write from within the replica's group. Raises NotReadyError."""
        group = self._groups()[-1]
        words = (f"{group}/cgroup.procs", self.disk.folder, str(size_bytes), str(times))
        argv = [sys.executable, "-m", "chaosctl.safety.disk_canary", *words]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            said = process.communicate(timeout=within_s)[0].decode().strip()
        except subprocess.TimeoutExpired:
            process.kill()  # which ends it when the disk has taken what it wrote
            return None
        if not said or said.startswith("error"):
            raise NotReadyError(f"a write to {self.disk.folder} failed: {said.removeprefix('error: ') or 'no answer'}")
        return float(said)

    def _groups(self) -> tuple[str, ...]:
        pid = self.pid()
        if pid is None:
            raise NotReadyError("is down, so nothing holds it")
        return throttle.groups_of(pid)
