"""A slow disk: the kernel lets the replica read and write so much a second on its own disk. What a cache answers stays
fast: it is felt by who waits for the disk (fsync), as on a machine whose volume is overbooked."""

from __future__ import annotations

from pydantic import Field, model_validator

from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import BytesPerS
from chaosctl.faults import disks
from chaosctl.faults.contract import Applied, DiskControl, NowNs, Place, Proof
from chaosctl.safety.disk import disks_lack
from chaosctl.safety.throttle import Throttle, throttle_lacks
from chaosctl.safety.undo import Undo

BLOCK_BYTES = 4096
# A canary takes about so long where the bound holds, and counts from half of it on; a proof has 2 s.
CANARY_S = 0.5
CANARY_WITHIN_S = 1.8


class DiskSlowParams(Params):
    """How much is left."""

    rate: BytesPerS | None = Field(None, ge=BLOCK_BYTES, description="How much it may read a second, and write: 1MiB/s")
    operations: int | None = Field(
        None, ge=4, le=1_000_000, description="Or how often a second: 20, reads and writes each"
    )

    @model_validator(mode="after")
    def _one(self) -> DiskSlowParams:
        if (self.rate is None) == (self.operations is None):
            raise ValueError("give either rate: 1MiB/s or operations: 20")
        return self


class DiskSlow:
    """A bound of the replica's control groups."""

    kind = FaultKind(
        name="disk_slow",
        acts_on="service",
        params=DiskSlowParams,
        lasting="always",
        dimension="disk",
        needs_disk=True,
        lacks=lambda: disks_lack() or throttle_lacks(),
        summary="The disk of the service (`disk: 64MiB`) takes and gives so much a second: fsync is slow",
        example="{ at: 8s, for: 6s, fault: disk_slow, on: world, rate: 256KiB/s }",
    )

    def prepare(self, fault_id: str, place: Place, params: DiskSlowParams) -> tuple[Undo, ...]:
        """Return what lifts the bounds. Raises NotReadyError where a replica is down."""
        return disks.undo_each(place, lambda disk: disk.slowing())

    def inject(self, fault_id: str, place: Place, params: DiskSlowParams, now_ns: NowNs) -> Applied:
        """Set the bounds. Raises NotReadyError."""
        bounds = Throttle(params.rate, params.operations)
        return disks.do_each(place, lambda disk: disk.slow(bounds), now_ns)

    def prove(self, fault_id: str, place: Place, params: DiskSlowParams, applied: Applied) -> Proof:
        """Write from within the replica's control group, and wait for the disk: it takes as long as the bound says."""
        return disks.prove_each(place, lambda disk: _look(disk, params, slow=True))

    def restore(self, fault_id: str, place: Place, params: DiskSlowParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: DiskSlowParams) -> Proof:
        """Write it again: the kernel holds nobody to a bound, and it is quicker than that would allow."""
        return disks.prove_each(place, lambda disk: _look(disk, params, slow=False))


def _look(disk: DiskControl, params: DiskSlowParams, *, slow: bool) -> Proof:
    size_bytes, times, least_s = _canary(params)
    took_s = disk.write_within(size_bytes, times, CANARY_WITHIN_S)
    bounded = disk.held_to()
    what = f"{times} writes of {size_bytes} bytes" if times > 1 else f"a write of {size_bytes} bytes"
    text = f"{what} took " + (f"{took_s:.3f} s" if took_s is not None else f"more than {CANARY_WITHIN_S:g} s")
    is_slow = took_s is None or took_s >= least_s
    return Proof(
        is_slow is slow and bool(bounded) is slow, f"{text}; {', '.join(bounded) or 'the kernel bounds nothing'}"
    )


def _canary(params: DiskSlowParams) -> tuple[int, int, float]:
    """Return how much is written, how often, and how long that takes at least where the bound holds."""
    if params.rate is not None:
        size_bytes = max(BLOCK_BYTES, round(params.rate * CANARY_S))
        return size_bytes, 1, size_bytes / params.rate / 2
    assert params.operations is not None
    # A file system has two or three operations for each write.
    times = max(1, round(params.operations * CANARY_S / 3))
    return BLOCK_BYTES, times, times / params.operations / 2


FAULT = DiskSlow()
