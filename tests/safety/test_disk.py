"""A disk of a replica's own: what is done to it reaches who writes to it and nobody else, and nothing of it stays."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import copying, throttle
from chaosctl.safety import disk as disk_module
from chaosctl.safety.copying import copy_tree
from chaosctl.safety.disk import FILLER, Disk, disks_lack
from chaosctl.safety.disk_undo import DiskUndo, FillerUndo, ThrottleUndo, WritableUndo
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import from_json, play, to_json

SIZE_BYTES = 8 * 1024 * 1024
needs_disks = pytest.mark.needs("disks")


def left_of(folder: Path) -> list[str]:
    """Return what is mounted below a folder, and the loop devices that hold a file there."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{folder}/" in line]
    backing = (path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    return mounts + [file for file in backing if f"{folder}/" in file]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "world-0").mkdir()
    made = Disk(str(tmp_path / "world-0.disk"), str(tmp_path / "world-0"))
    made.make(SIZE_BYTES, os.environ)
    yield made
    play(WritableUndo(made.image))
    while os.path.ismount(made.folder):
        subprocess.run(["umount", "--lazy", made.folder], check=True)
    assert left_of(tmp_path) == []


def undo_of(disk: Disk) -> DiskUndo:
    return DiskUndo(disk.image, disk.folder)


@needs_disks
def test_what_is_on_it_stays_behind_and_nothing_else(disk: Disk, tmp_path: Path) -> None:
    assert disk.is_mounted()
    assert 0 < disk.free_bytes() < SIZE_BYTES
    assert list(Path(disk.folder).iterdir()) == []
    Path(disk.folder, "input.log").write_text("tick 1\n")
    Path(disk.folder).chmod(0o777)
    played = play(undo_of(disk))
    assert (played.done, played.text) == (True, f"unmounted the disk at {disk.folder}, what was on it is there")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["input.log", "world-0"]
    assert Path(disk.folder).stat().st_mode & 0o777 == 0o777
    assert left_of(tmp_path) == []
    again = play(undo_of(disk))
    assert (again.done, again.text) == (True, f"no disk is at {disk.folder}: nothing to undo")
    assert Path(disk.folder, "input.log").read_text() == "tick 1\n"


@needs_disks
@pytest.mark.parametrize("broken_off", ["made", "copying", "copied", "unmounted", "restarted", "unfinished"])
def test_it_is_taken_away_from_wherever_that_was_broken_off(disk: Disk, tmp_path: Path, broken_off: str) -> None:
    folder, kept = Path(disk.folder), tmp_path / "world-0.kept"
    (folder / "input.log").write_text("tick 1\n")
    if broken_off == "made":
        Path(f"{disk.image}.unfinished").touch()
    if broken_off == "copying":
        (tmp_path / "world-0.kept.unfinished").mkdir()
        (tmp_path / "world-0.kept.unfinished" / "input.log").write_text("ti")
    if broken_off in ("copied", "unmounted"):
        copy_tree(folder, kept)
    if broken_off in ("unmounted", "restarted"):
        subprocess.run(["umount", disk.folder], check=True)
    if broken_off == "unfinished":
        disk.refuse_writes()
        disk.fill(0)
    assert play(undo_of(disk)).done
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["input.log", "world-0"]
    assert (folder / "input.log").read_text() == "tick 1\n"
    assert left_of(tmp_path) == []


@needs_disks
def test_somebody_who_looks_at_it_does_not_hold_it_up(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "_UNMOUNTED_WITHIN_S", 0.1)
    Path(disk.folder, "input.log").write_text("tick 1\n")
    with Path(disk.folder, "input.log").open() as looking:
        assert play(undo_of(disk)).done
        assert not os.path.ismount(disk.folder)
        assert looking.read() == "tick 1\n"


@needs_disks
def test_what_somebody_else_has_mounted_there_is_left_alone(disk: Disk) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", disk.folder], check=True)
    played = play(undo_of(disk))
    assert not played.done
    assert (
        f"something else is mounted there and is left alone; unmount that first (`umount {disk.folder}`)" in played.text
    )
    assert f"umount --lazy {disk.folder}" in played.text
    subprocess.run(["umount", disk.folder], check=True)
    assert play(undo_of(disk)).done


@needs_disks
def test_full_it_takes_no_byte_until_the_undo(disk: Disk) -> None:
    undo = FillerUndo(disk.filling())
    disk.fill(0)
    assert (disk.free_bytes(), disk.write(1)) == (0, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        Path(disk.folder, "new").write_text("x")
    assert play(undo).text == f"removed {disk.folder}/{FILLER}"
    assert play(undo).text.endswith("is gone: nothing to undo")
    assert disk.write(1_000_000) == 0


@needs_disks
def test_what_is_to_stay_free_stays_free(disk: Disk) -> None:
    disk.fill(1_000_000)
    assert 1_000_000 - 1024 <= disk.free_bytes() <= 1_000_000
    assert (disk.write(900_000), disk.write(1_000_001)) == (0, errno.ENOSPC)


@needs_disks
def test_failing_it_can_be_read_and_not_be_written_to_until_the_undo(disk: Disk) -> None:
    there = Path(disk.folder, "there")
    there.write_text("before")
    with there.open("a") as opened:
        disk.refuse_writes()
        assert (disk.refuses_writes(), disk.write(1), there.read_text()) == (True, errno.EIO, "before")
        opened.write(", after")
        opened.flush()
        with pytest.raises(OSError, match="Input/output error"):
            os.fsync(opened.fileno())
        assert play(WritableUndo(disk.image)).text.endswith("takes writes again")
        assert play(WritableUndo(disk.image)).text.endswith("nothing to undo")
        assert (disk.refuses_writes(), disk.write(1)) == (False, 0)


@needs_disks
def test_its_bounds_are_the_kernel_s_and_go_with_the_undo(disk: Disk) -> None:
    if (lacks := throttle.throttle_lacks()) is not None:
        pytest.skip(lacks)
    groups = throttle.groups_of(os.getpid())
    undo = ThrottleUndo(groups, disk.device())
    throttle.hold(groups, disk.device(), Throttle(None, 50))
    held = throttle.held(groups, disk.device())
    assert held
    assert all("50" in line for line in held)
    assert play(undo).done
    assert throttle.held(groups, disk.device()) == ()
    assert play(undo).done


@needs_disks
def test_a_disk_that_is_gone_cannot_be_filled_or_made_to_fail(disk: Disk) -> None:
    assert play(undo_of(disk)).done
    for do in (disk.filling, disk.refuse_writes):
        with pytest.raises(NotReadyError, match=f"the disk at {disk.folder} is gone"):
            do()


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    lacks = disks_lack()
    assert lacks is not None
    with pytest.raises(NotReadyError, match=r"no disk can be made here: .*, or leave `disk` out"):
        Disk(str(tmp_path / "a.disk"), str(tmp_path / "a")).make(SIZE_BYTES, os.environ)
    assert list(tmp_path.iterdir()) == []


@needs_disks
def test_without_room_for_it_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"has no room for the disk a.disk and a copy of what is on it; make room"):
        Disk(str(tmp_path / "a.disk"), str(tmp_path / "a")).make(1 << 60, os.environ)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "action", [DiskUndo("a", "b"), FillerUndo("a"), ThrottleUndo(("a", "b"), "7:0"), WritableUndo("a")]
)
def test_undos_are_data(action: DiskUndo | FillerUndo | ThrottleUndo | WritableUndo) -> None:
    assert from_json(json.loads(json.dumps(to_json(action)))) == action


@needs_disks
def test_what_cannot_be_kept_is_not_thrown_away(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(disk.folder, "input.log").write_text("tick 1\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), disk.image)

    monkeypatch.setattr(copying, "_copy_file", full)
    played = play(undo_of(disk))
    assert not played.done
    assert "No space left on device" in played.text
    assert f"goes with `umount --lazy {disk.folder}`, then `rm {disk.image}`" in played.text
    assert Path(disk.folder, "input.log").read_text() == "tick 1\n"
    monkeypatch.undo()
    assert play(undo_of(disk)).done
    assert Path(disk.folder, "input.log").read_text() == "tick 1\n"
