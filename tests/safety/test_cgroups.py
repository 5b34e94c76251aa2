"""Control groups of both versions, as trees that are made up: where a process is held, and what its files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups

PID = 7


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the kernel says in which groups the process is."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "PROC", tmp_path / "proc")
    said = tmp_path / "proc" / str(PID) / "cgroup"
    said.parent.mkdir(parents=True)
    return said


def group(path: str, **files: str) -> Path:
    folder = cgroups.ROOT / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")
    return folder


def version_2() -> None:
    group("", cgroup__controllers="cpu memory")


def test_version_1_has_a_tree_for_each_controller(proc: Path) -> None:
    proc.write_text("4:memory:/docker/abc\n2:cpuacct:/docker/abc\n1:cpu:/docker/abc\n0::/system.slice\n")
    group("unified/system.slice")
    folder = group("memory/docker/abc", memory__limit_in_bytes="4096")
    group("cpu/docker/abc", cpu__cfs_quota_us="-1")
    assert not cgroups.has_version_2()
    assert cgroups.folder_of(PID, "memory") == folder
    assert cgroups.read(PID, "memory", "memory.limit_in_bytes", "memory.max") == "4096"
    assert cgroups.read(PID, "cpu", "cpu.cfs_quota_us", "cpu.max") == "-1"


def test_controllers_of_version_1_that_share_a_tree(proc: Path) -> None:
    proc.write_text("2:cpu,cpuacct:/docker/abc\n")
    folder = group("cpu,cpuacct/docker/abc")
    assert cgroups.folder_of(PID, "cpu") == folder
    assert cgroups.folder_of(PID, "cpuacct") == folder


def test_version_2_has_one_tree_for_all(proc: Path) -> None:
    version_2()
    proc.write_text("0::/system.slice/docker-abc.scope\n")
    folder = group("system.slice/docker-abc.scope", memory__max="max", cpu__max="20000 100000")
    assert cgroups.has_version_2()
    assert cgroups.folder_of(PID, "memory") == cgroups.folder_of(PID, "cpu") == folder
    assert cgroups.read(PID, "memory", "memory.limit_in_bytes", "memory.max") == "max"
    assert cgroups.read(PID, "cpu", "cpu.cfs_quota_us", "cpu.max") == "20000 100000"


@pytest.mark.parametrize("path", ["/../other", "/gone"])
def test_a_group_out_of_sight_is_said_to_be(proc: Path, path: str) -> None:
    version_2()
    group("../other")
    proc.write_text(f"0::{path}\n")
    with pytest.raises(NotReadyError, match=f"the memory group of process {PID} is not in sight"):
        cgroups.folder_of(PID, "memory")


def test_a_controller_that_nothing_holds_it_by(proc: Path) -> None:
    proc.write_text("4:memory:/docker/abc\n")
    with pytest.raises(NotReadyError, match="the freezer group"):
        cgroups.folder_of(PID, "freezer")


def test_what_has_ended_has_no_group(proc: Path) -> None:
    with pytest.raises(NotReadyError, match=f"process {PID} has ended"):
        cgroups.folder_of(PID, "memory")


def test_a_file_that_is_not_there(proc: Path) -> None:
    version_2()
    proc.write_text("0::/\n")  # also: the root has no limits
    with pytest.raises(NotReadyError, match=r"memory.max cannot be read \(No such file"):
        cgroups.read(PID, "memory", "memory.limit_in_bytes", "memory.max")
