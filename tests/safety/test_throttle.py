"""Bounds of a block device: what is written where, under both versions of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups, throttle
from chaosctl.safety.throttle import Throttle

KNOBS_1 = [f"blkio.throttle.{way}_{what}_device" for way in ("read", "write") for what in ("bps", "iops")]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "PROC", tmp_path)
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "cgroup").write_text("4:blkio:/box\n0::/box\n")
    return tmp_path


def test_version_1_holds_the_group_and_the_root(tree: Path) -> None:
    for folder in ("blkio", "blkio/box"):
        (tree / folder).mkdir()
        for knob in KNOBS_1:
            (tree / folder / knob).touch()
    groups = throttle.groups_of(os.getpid())
    assert groups == (str(tree / "blkio"), str(tree / "blkio" / "box"))
    throttle.hold(groups, "7:0", Throttle(4096, None))
    for group in groups:
        assert [Path(group, knob).read_text() for knob in KNOBS_1] == ["7:0 4096", "7:0 0", "7:0 4096", "7:0 0"]
    throttle.lift(groups, "7:0")
    assert {Path(group, knob).read_text() for group in groups for knob in KNOBS_1} == {"7:0 0"}
    throttle.lift([*groups, str(tree / "blkio" / "gone")], "7:0")


def test_version_2_holds_the_group(tree: Path) -> None:
    (tree / "cgroup.controllers").write_text("cpu io memory\n")
    (tree / "box").mkdir()
    with pytest.raises(NotReadyError, match=r"has no io.max: the controller `io` is not on there, or"):
        throttle.groups_of(os.getpid())
    (tree / "box" / "io.max").touch()
    groups = throttle.groups_of(os.getpid())
    throttle.hold(groups, "7:0", Throttle(None, 20))
    assert throttle.held(groups, "7:0") == ("io.max 7:0 rbps=max wbps=max riops=20 wiops=20",)
    assert throttle.held(groups, "7:1") == ()
    throttle.lift(groups, "7:0")
    assert (tree / "box" / "io.max").read_text() == "7:0 rbps=max wbps=max riops=max wiops=max"


def test_what_a_kernel_lacks_is_said(tree: Path) -> None:
    assert throttle.throttle_lacks() == "the kernel has no blkio.throttle"
    (tree / "cgroup.controllers").write_text("cpu memory\n")
    assert throttle.throttle_lacks() == "the kernel has no controller `io`"
    (tree / "cgroup.controllers").write_text("cpu io\n")
    assert throttle.throttle_lacks() is None


def test_what_the_kernel_does_not_take_is_said(tree: Path) -> None:
    (tree / "blkio").mkdir()
    (tree / "blkio" / KNOBS_1[0]).mkdir()
    with pytest.raises(NotReadyError, match=r"does not take `7:0 4096`: Is a directory"):
        throttle.hold([str(tree / "blkio")], "7:0", Throttle(4096, None))
