"""A disk that fails: what is on it can be read, but whatever it has to write fails with EIO, as on a drive that has
given up. A program that does not wait for its writes (fsync) is not told, and what it wrote may be gone."""

from __future__ import annotations

import errno
import os

from chaosctl.experiment.kinds import FaultKind
from chaosctl.faults import disks
from chaosctl.faults.contract import Applied, DiskControl, NowNs, Place, Proof
from chaosctl.faults.ending import NoParams
from chaosctl.safety.disk import disks_lack
from chaosctl.safety.undo import Undo


class IoErrors:
    """The file that holds the disk takes no writes."""

    kind = FaultKind(
        name="io_errors",
        acts_on="service",
        params=NoParams,
        lasting="always",
        dimension="disk",
        needs_disk=True,
        lacks=disks_lack,
        summary="The disk of the service (`disk: 64MiB`) fails: what it has to write fails with EIO",
        example="{ at: 8s, for: 6s, fault: io_errors, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: NoParams) -> tuple[Undo, ...]:
        """Return what lets them take writes again."""
        return disks.undo_each(place, lambda disk: disk.failing())

    def inject(self, fault_id: str, place: Place, params: NoParams, now_ns: NowNs) -> Applied:
        """Have them fail. Raises NotReadyError."""
        return disks.do_each(place, lambda disk: disk.fail(), now_ns)

    def prove(self, fault_id: str, place: Place, params: NoParams, applied: Applied) -> Proof:
        """Write one byte, and have the disk take it."""
        return disks.prove_each(place, lambda disk: _look(disk, errno.EIO))

    def restore(self, fault_id: str, place: Place, params: NoParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: NoParams) -> Proof:
        """Write it again."""
        return disks.prove_each(place, lambda disk: _look(disk, 0))


def _look(disk: DiskControl, wanted: int) -> Proof:
    came = disk.write(1)
    return Proof(came == wanted, f"a write {f'fails: {os.strerror(came)}' if came else 'reaches the disk'}")


FAULT = IoErrors()
