"""What stands in for the processes inside a replica and for its disk in a dry run: it notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chaosctl.experiment.units import format_duration, format_size
from chaosctl.runner.rehearsal.notes import Notes
from chaosctl.safety.burners import Burner
from chaosctl.safety.descriptors import Descriptors
from chaosctl.safety.disk import FILLER
from chaosctl.safety.disk_undo import FillerUndo, ThrottleUndo, WritableUndo
from chaosctl.safety.inside import Inside
from chaosctl.safety.own_group import OwnGroup
from chaosctl.safety.process_clock import Shift
from chaosctl.safety.processes import Process
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import Undo


@dataclass(frozen=True)
class InsideStandIn(Inside):
    """The processes of a replica, of which there is one of any name."""

    label: str
    notes: Notes
    ended: Callable[[], None]
    memory_limit: int | None = None

    def members(self) -> tuple[Process, ...]:
        """Return what stands for all of them."""
        return self.named("all")

    def named(self, name: str) -> tuple[Process, ...]:
        """Return what stands for those that are called so; its number is the replica's, below zero."""
        return (Process(-self.pid, name, "S", self.pid, self.pid, 0),)

    def signal(self, process: Process, name: str) -> None:
        """Note the signal."""
        self.notes.add(f"{name} to {process.command} in {self.label}")

    def descriptors(self, process: Process) -> Descriptors:
        """Return three that are open, of as many as there usually may be."""
        return Descriptors(frozenset(range(3)), 1024)

    def limit_descriptors(self, process: Process, limit: int) -> None:
        """Note that it is limited; how many it will have open is not known."""
        self.notes.add(f"limit the open files of {process.command} processes in {self.label} to what they have open")

    def burn(self, mark: str, run_id: str, what: str, amount: int, controllers: Sequence[str]) -> Burner:
        """Note it."""
        what_for = {"hold": "hold so many bytes", "fill": "take up to so many bytes"}.get(what, "burn, so many workers")
        self.notes.add(f"begin in the {' and '.join(controllers)} group of {self.label} to {what_for}: {amount}")
        return BurnerStandIn(None, (), self)

    def group_says(self, controller: str, of_version_1: str, of_version_2: str) -> str:
        """Return the limit that it was given here, if any, and nothing that is used; that is said."""
        taken = str(self.memory_limit or "none") if "limit" in of_version_1 else "0"
        self.notes.add(f"read {of_version_1} ({of_version_2}) of {self.label}, taken for {taken} here")
        return taken

    def own_group(self, controller: str, name: str) -> OwnGroup:
        """Return what stands for it."""
        return OwnGroup(
            f"<{controller} group of {self.label}>/chaosctl-{name}", f"<{controller} group of {self.label}>"
        )

    def regroup(self, group: OwnGroup, limits: Mapping[str, str]) -> None:
        """Note it."""
        held = ", ".join(f"{file} {value}" for file, value in limits.items())
        self.notes.add(f"put all processes of {self.label} into {group.folder} with {held}")

    def shift_clock(self, process: Process, shift: Shift) -> None:
        """Note that it is shifted."""
        off = f"{format_duration(shift.offset_ns)} off, {shift.rate:g} times as fast"
        self.notes.add(f"shift the clock of {process.command} processes in {self.label}: {off}")


@dataclass(frozen=True)
class BurnerStandIn(Burner):
    """What was begun in the groups of a replica. What is to end for lack of memory ends."""

    inside: InsideStandIn

    def says(self, within_s: float) -> list[str]:
        """Note that the end is waited for."""
        self.inside.notes.add(f"wait until the kernel has ended {self.inside.label} for lack of memory")
        self.inside.ended()
        return ["ended", "1"]


@dataclass(frozen=True)
class DiskStandIn:
    """A disk (`faults.contract.DiskControl`) that nobody has made. Nobody asks it anything in a dry run."""

    label: str
    notes: Notes

    @property
    def folder(self) -> str:
        """Return what stands for it."""
        return f"<{self.label}.state>"

    def free_bytes(self) -> int:
        """Return 0."""
        return 0

    def write(self, size_bytes: int) -> int:
        """Write nothing."""
        return 0

    def filling(self) -> Undo:
        """Return the removal of the file."""
        return FillerUndo(f"{self.folder}/{FILLER}")

    def fill(self, leave_bytes: int) -> None:
        """Note it."""
        self.notes.add(f"fill the disk of {self.label} with {self.folder}/{FILLER} but for {format_size(leave_bytes)}")

    def failing(self) -> Undo:
        """Return what ends it."""
        return WritableUndo(f"{self.folder}.disk")

    def fail(self) -> None:
        """Note it."""
        self.notes.add(f"make {self.folder}.disk, the file that holds the disk of {self.label}, immutable")

    def slowing(self) -> Undo:
        """Return what lifts the bounds."""
        return ThrottleUndo((f"<control group of {self.label}>",), f"<device of {self.label}>")

    def slow(self, bounds: Throttle) -> None:
        """Note it."""
        rate = None if bounds.bytes_per_s is None else f"{format_size(bounds.bytes_per_s)}/s"
        self.notes.add(f"hold {self.label} to {rate or f'{bounds.operations_per_s} operations/s'} on its disk")

    def held_to(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def write_within(self, size_bytes: int, times: int, within_s: float) -> float | None:
        """Write nothing."""
        return 0.0
