"""A full disk: a file takes all that is free on the disk of the replica's own, so that writes fail with ENOSPC. What is
in a last block that is not full yet can still be written to, as on any disk."""

from __future__ import annotations

import errno
import os

from pydantic import Field

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import SizeBytes, format_size
from chaosctl.faults import disks
from chaosctl.faults.contract import Applied, DiskControl, NowNs, Place, Proof
from chaosctl.safety.disk import disks_lack
from chaosctl.safety.undo import Undo


class DiskFullParams(Params):
    """What is left."""

    leave: SizeBytes = Field(0, description="How much stays free: 0B, or a little that is soon used up")


class DiskFull:
    """A file that fills it."""

    kind = FaultKind(
        name="disk_full",
        acts_on="service",
        params=DiskFullParams,
        lasting="always",
        dimension="disk",
        needs_disk=True,
        lacks=disks_lack,
        summary="The disk of the service (`disk: 64MiB`) is full: writes fail with ENOSPC",
        example="{ at: 8s, for: 6s, fault: disk_full, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: DiskFullParams) -> tuple[Undo, ...]:
        """Return the removal of the files."""
        return disks.undo_each(place, lambda disk: disk.filling())

    def inject(self, fault_id: str, place: Place, params: DiskFullParams, now_ns: NowNs) -> Applied:
        """Fill them. Raises NotReadyError."""
        return disks.do_each(place, lambda disk: disk.fill(params.leave), now_ns)

    def prove(self, fault_id: str, place: Place, params: DiskFullParams, applied: Applied) -> Proof:
        """Write one byte more than was left."""
        return disks.prove_each(place, lambda disk: _look(disk, params.leave + 1, errno.ENOSPC))

    def restore(self, fault_id: str, place: Place, params: DiskFullParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: DiskFullParams) -> Proof:
        """Write it again."""
        return disks.prove_each(place, lambda disk: _look(disk, 1, 0))


def _look(disk: DiskControl, size_bytes: int, wanted: int) -> Proof:
    free_bytes, came = disk.free_bytes(), disk.write(size_bytes)
    result = f"fails: {os.strerror(came)}" if came else "succeeds"
    return Proof(came == wanted, f"{format_size(free_bytes)} are free, a write of {format_size(size_bytes)} {result}")


FAULT = DiskFull()
