"""A replay that is cut in two: by a snapshot, and by a kill of one that keeps its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arena import replay
from arena.inputlog import encode, encode_config
from arena.state import Config

TICKS = 450
Replayed = Callable[..., list[bytes]]


@pytest.fixture
def replayed(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Replayed:
    """A function that replays a log of 450 ticks with some arguments and returns the lines."""
    log = tmp_path / "input.log"
    moves = (encode(tick, [["move", "ann", tick, 1, -1]]) for tick in range(2, TICKS + 1))
    first = encode(1, [["hello", "ann", "k"]])
    log.write_bytes(b"".join([encode_config(Config(seed=7)), first, *moves]))

    def play(*words: str) -> list[bytes]:
        code = replay.main(["--log", str(log), "--seed", "7", *words])
        said, complaint = capfdbinary.readouterr()
        assert (code, complaint) == (0, b"")
        return said.splitlines()

    return play


def test_a_copy_that_begins_at_a_snapshot_goes_on_the_same(replayed: Replayed, tmp_path: Path) -> None:
    plain, snapshot = replayed(), str(tmp_path / "snapshot.json")
    assert replayed("--snapshot-at", "200", "--snapshot-to", snapshot) == plain
    assert replayed("--snapshot", snapshot) == plain[200:]


@pytest.mark.parametrize("kept_ticks", [0, 1, 199, 200, 350, TICKS])
def test_a_copy_that_keeps_its_files_goes_on_from_them(replayed: Replayed, tmp_path: Path, kept_ticks: int) -> None:
    data = tmp_path / "data"
    plain = replayed()
    assert replayed("--data", str(data)) == plain
    assert (data / "input.log").read_bytes() == (tmp_path / "input.log").read_bytes()
    assert {path.name for path in data.glob("snapshot-*")} == {
        "snapshot-000000000200.json",
        "snapshot-000000000400.json",
    }
    lines = (data / "input.log").read_bytes().splitlines(keepends=True)
    os.truncate(data / "input.log", sum(map(len, lines[: kept_ticks + 1])))
    for late in [path for path in data.glob("snapshot-*") if int(path.stem[9:]) > kept_ticks]:
        late.unlink()
    assert replayed("--data", str(data)) == plain[kept_ticks:]


def test_a_snapshot_and_a_folder_are_not_begun_at_together(replayed: Replayed) -> None:
    with pytest.raises(SystemExit):
        replayed("--data", "data", "--snapshot", "snapshot.json")
