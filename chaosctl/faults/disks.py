"""What the faults on disks share: the disks of a place, and looking at each of them."""

from __future__ import annotations

from collections.abc import Callable

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Applied, DiskControl, NowNs, Place, Proof
from chaosctl.safety.undo import Undo

Named = tuple[str, DiskControl]
"""A replica's name, and its disk."""


def disks_of(place: Place) -> tuple[Named, ...]:
    """Return the disks of a place. Raises NotReadyError for a replica that has none."""
    found = []
    for process in place.processes:
        disk, name = process.disk(), processes.name_of(process)
        if disk is None:
            raise NotReadyError(f"{name} has no disk of its own; add `disk: 64MiB` to its service")
        found.append((name, disk))
    return tuple(found)


def undo_each(place: Place, undo: Callable[[DiskControl], Undo]) -> tuple[Undo, ...]:
    """Return what undoes it on every disk of the place. Raises NotReadyError."""
    return tuple(undo(disk) for _, disk in disks_of(place))


def do_each(place: Place, do: Callable[[DiskControl], None], now_ns: NowNs) -> Applied:
    """Do it to every disk of the place. Raises NotReadyError."""
    found = disks_of(place)
    called_ns = now_ns()
    for name, disk in found:
        try:
            do(disk)
        except NotReadyError as error:
            raise NotReadyError(f"the disk of {name}: {error}") from error
    return Applied(called_ns, now_ns(), tuple(f"the disk of {name} ({disk.folder})" for name, disk in found))


def prove_each(place: Place, look: Callable[[DiskControl], Proof]) -> Proof:
    """Look at every disk of the place until each shows it, as often as a proof may. Says what each shows."""
    return processes.prove_all(lambda: [(name, _look(disk, look)) for name, disk in disks_of(place)])


def _look(disk: DiskControl, look: Callable[[DiskControl], Proof]) -> Proof:
    try:
        return look(disk)
    except NotReadyError as error:
        return Proof(False, str(error))
    except OSError as error:
        return Proof(False, f"its disk cannot be looked at: {error.strerror}")
