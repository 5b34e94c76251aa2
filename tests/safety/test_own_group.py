"""A control group of our own: below the present one, or beside it; its processes go back to where they were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups, own_group
from chaosctl.safety.own_group import GroupUndo, OwnGroup, remove
from chaosctl.safety.undo import from_json, to_json


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A made-up tree with the process 17 in a group of its own."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "PROC", tmp_path)
    (tmp_path / "17").mkdir()
    return tmp_path


def test_under_version_1_it_is_below_the_present_one(tree: Path) -> None:
    (tree / "17" / "cgroup").write_text("3:cpu,cpuacct:/session\n")
    (tree / "cpu" / "session").mkdir(parents=True)
    group = own_group.own_group(17, "cpu", "abc")
    assert group == OwnGroup(str(tree / "cpu" / "session" / "chaosctl-abc"), str(tree / "cpu" / "session"))


def test_under_version_2_it_is_beside_it(tree: Path) -> None:
    (tree / "cgroup.controllers").touch()
    (tree / "17" / "cgroup").write_text("0::/user/session\n")
    (tree / "user" / "session").mkdir(parents=True)
    group = own_group.own_group(17, "cpu", "abc")
    assert group == OwnGroup(str(tree / "user" / "chaosctl-abc"), str(tree / "user" / "session"))
    (tree / "17" / "cgroup").write_text("0::/\n")
    assert own_group.own_group(17, "cpu", "abc").folder == str(tree / "chaosctl-abc")


def test_only_a_group_of_ours_is_removed_and_one_that_is_gone_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    assert remove(GroupUndo(str(tmp_path / "theirs"), str(tmp_path))) == (
        False, f"{tmp_path}/theirs is no control group of chaosctl's",
    )  # fmt: skip
    undo = GroupUndo(str(tmp_path / "chaosctl-abc"), str(tmp_path))
    assert from_json(to_json(undo)) == undo
    assert remove(undo) == (True, "control group chaosctl-abc is gone: nothing to undo")


def test_where_none_can_be_made_it_is_said_how(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"no control group can be made at .*; run chaosctl as root"):
        OwnGroup(str(tmp_path / "nowhere" / "chaosctl-abc"), "").make({})


def test_a_real_one_holds_what_it_takes_until_it_is_removed() -> None:
    file = "cpu.max" if cgroups.has_version_2() else "cpu.cfs_quota_us"
    if (why := own_group.lacks("cpu", file)) is not None:
        pytest.skip(why)
    with subprocess.Popen(["sleep", "60"]) as other:
        before = cgroups.folder_of(other.pid, "cpu")
        group = own_group.own_group(other.pid, "cpu", "test")
        undo = GroupUndo(group.folder, group.back)
        group.make({})
        group.take(other.pid)
        assert cgroups.folder_of(other.pid, "cpu") == Path(group.folder)
        assert remove(undo) == (True, "removed control group chaosctl-test")
        assert cgroups.folder_of(other.pid, "cpu") == before
        other.kill()
    group.make({})
    group.take(other.pid)  # it has ended: nothing is taken, and nothing is said
    assert remove(undo)[0]
