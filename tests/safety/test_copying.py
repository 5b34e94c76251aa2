"""A copy takes no more room than what was copied, whatever a stranger has put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaosctl.safety import copying
from chaosctl.safety.copying import copy_tree

HUGE = 1 << 40


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "one").write_bytes(b"1" * 10_000)
    os.link(folder / "one", folder / "deep" / "same")
    (folder / "deep" / "er" / "two").write_text("2")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "waits-for-ever")
    (folder / "scrap").write_text("not wanted")
    with (folder / "holes").open("wb") as file:
        file.truncate(HUGE)
        file.seek(HUGE // 2)
        file.write(b"in the middle")
    (folder / "empty").touch()
    return folder


def test_it_is_the_same_and_no_larger(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_tree(source, copy, ("scrap",))
    names = {str(path.relative_to(copy)) for path in copy.rglob("*")}
    assert names == {"deep", "deep/er", "deep/er/two", "deep/same", "one", "link", "holes", "empty"}
    assert (copy / "one").read_bytes() == b"1" * 10_000
    assert (copy / "one").stat().st_ino == (copy / "deep" / "same").stat().st_ino
    assert (copy / "link").readlink() == Path("/etc/passwd")
    holes = (copy / "holes").stat()
    assert (holes.st_size, holes.st_blocks * 512 < 100_000) == (HUGE, True)
    with (copy / "holes").open("rb") as file:
        file.seek(HUGE // 2)
        assert file.read(13) == b"in the middle"
    assert (copy / "one").stat().st_mtime_ns == (source / "one").stat().st_mtime_ns


def test_what_an_earlier_attempt_left_is_begun_anew(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, whole = tmp_path / "copy", copying._copy_file
    left = iter([True, True])

    def until_it_is_killed(one: str, other: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        whole(one, other)

    monkeypatch.setattr(copying, "_copy_file", until_it_is_killed)
    with pytest.raises(KeyboardInterrupt):
        copy_tree(source, copy)
    assert not copy.exists()
    monkeypatch.setattr(copying, "_copy_file", whole)
    copy_tree(source, copy)
    assert (copy / "deep" / "er" / "two").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("unfinished")] == []
