"""Faults on disks: what counts as seen, and as gone."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Place, ProcessControl
from chaosctl.faults.registry import faults
from chaosctl.safety.disk_undo import FillerUndo
from chaosctl.safety.throttle import Throttle
from tests.faults.conftest import inject, params_of, prove, prove_healed

SLOW = {"rate": "1MiB/s"}


@dataclass
class FakeDisk:
    """A disk that answers what it is told to, and notes what is done to it."""

    write_result: int = 0
    took_s: float | None = 0.0
    bounds: tuple[str, ...] = ()
    folder: str = "/state"
    done: list[Any] = field(default_factory=list)

    def free_bytes(self) -> int:
        return 0

    def write(self, size_bytes: int) -> int:
        self.done.append(size_bytes)
        return self.write_result

    def filling(self) -> FillerUndo:
        return FillerUndo("/state/filler")

    def fill(self, leave_bytes: int) -> None:
        self.done.append(leave_bytes)

    def fail(self) -> None:
        raise NotReadyError("no immutable files")

    def slow(self, bounds: Throttle) -> None:
        self.done.append(bounds)

    def held_to(self) -> tuple[str, ...]:
        return self.bounds

    def write_within(self, size_bytes: int, times: int, within_s: float) -> float | None:
        self.done.append((size_bytes, times))
        return self.took_s


class Replica:
    service, index = "world", 0

    def __init__(self, disk: FakeDisk | None) -> None:
        self._disk = disk

    def disk(self) -> FakeDisk | None:
        return self._disk


@pytest.fixture(autouse=True)
def _one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.0,))


def place_with(disk: FakeDisk | None) -> Place:
    return Place("world", processes=(cast(ProcessControl, Replica(disk)),))


@pytest.mark.parametrize(
    ("kind", "wanted"), [("disk_full", errno.ENOSPC), ("io_errors", errno.EIO)], ids=["full", "failing"]
)
def test_only_the_error_that_it_means_is_the_fault(kind: str, wanted: int) -> None:
    for came in (0, errno.ENOSPC, errno.EIO, errno.EROFS):
        place = place_with(FakeDisk(write_result=came))
        assert prove(faults()[kind], place, {}).proved is (came == wanted)
        assert prove_healed(faults()[kind], place, {}).proved is (came == 0)


def test_a_full_disk_is_tried_with_one_byte_more_than_is_left() -> None:
    disk = FakeDisk()
    place, written = place_with(disk), {"leave": "1KiB"}
    inject(faults()["disk_full"], place, written)
    prove(faults()["disk_full"], place, written)
    prove_healed(faults()["disk_full"], place, written)
    assert disk.done == [1024, 1025, 1]


@pytest.mark.parametrize(
    ("took_s", "bounds", "slow", "healed"),
    [
        (0.5, ("bps 7:0 1048576",), True, False),
        (None, ("bps 7:0 1048576",), True, False),
        (0.01, ("bps 7:0 1048576",), False, False),  # a bound that holds nobody
        (0.5, (), False, False),  # slow, but not by us
        (0.01, (), False, True),
    ],
)
def test_slow_is_what_takes_long_and_is_bounded_by_the_kernel(
    took_s: float | None, bounds: tuple[str, ...], slow: bool, healed: bool
) -> None:
    place = place_with(FakeDisk(took_s=took_s, bounds=bounds))
    assert prove(faults()["disk_slow"], place, SLOW).proved is slow
    assert prove_healed(faults()["disk_slow"], place, SLOW).proved is healed


@pytest.mark.parametrize(
    ("written", "canary", "bounds"),
    [
        ({"rate": "1MiB/s"}, (524_288, 1), Throttle(1_048_576, None)),
        ({"rate": "4KiB/s"}, (4096, 1), Throttle(4096, None)),
        ({"operations": 60}, (4096, 10), Throttle(None, 60)),
        ({"operations": 4}, (4096, 1), Throttle(None, 4)),
    ],
)
def test_its_canary_takes_about_half_a_second(
    written: dict[str, Any], canary: tuple[int, int], bounds: Throttle
) -> None:
    disk = FakeDisk(took_s=None, bounds=("",))
    inject(faults()["disk_slow"], place_with(disk), written)
    prove(faults()["disk_slow"], place_with(disk), written)
    assert disk.done == [bounds, canary]


@pytest.mark.parametrize("kind", ["disk_full", "disk_slow", "io_errors"])
def test_without_a_disk_nothing_is_done(kind: str) -> None:
    fault, written = faults()[kind], SLOW if kind == "disk_slow" else {}
    with pytest.raises(NotReadyError, match=r"world\[0\] has no disk of its own; add `disk: 64MiB` to its service"):
        fault.prepare("f1", place_with(None), params_of(fault, written))
    assert not prove(fault, place_with(None), written).proved
    assert not prove_healed(fault, Place("world"), written).proved


def test_what_cannot_be_done_names_the_disk() -> None:
    with pytest.raises(NotReadyError, match=r"the disk of world\[0\]: no immutable files"):
        inject(faults()["io_errors"], place_with(FakeDisk()), {})
