"""Releases of the arena: what is different in release 2, and what release 1 makes of what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena import defects
from arena.inputlog import CorruptLogError, LineFile, LogReader, encode, encode_config
from arena.protocol import parse
from arena.releases import WorldRelease
from arena.state import Config

UNREADABLE = frozenset({defects.UNREADABLE_RELEASE})
GOOD, BAD = WorldRelease.of(1, UNREADABLE), WorldRelease.of(2, UNREADABLE)


def written(path: Path, *releases: WorldRelease) -> list[bytes]:
    """Let each release write one tick, as if one had followed the other."""
    path.write_bytes(encode_config(Config(7, 20, 30_000)))
    for tick, release in enumerate(releases, 1):
        log = release.log(LineFile(path))
        log.append(encode(tick, [["leave", "ann"]]))
        log.close()
    return path.read_bytes().splitlines()


def test_release_2_forgot_the_chat_and_nothing_else() -> None:
    lines = ["CHAT 1 hello", "MOVE 2 1 1", "SEEN", "HELLO ann token"]
    heard = [WorldRelease(2).heard(parse("ann", line)) for line in lines]
    assert heard[0].error == "ERR unknown command CHAT"
    assert heard[0].given is None, "what is refused is not in the log"
    assert [one.error for one in heard[1:]] == [None] * 3
    assert WorldRelease(1).heard(parse("ann", "CHAT 1 hello")).error is None


def test_a_welcome_tells_the_release() -> None:
    assert WorldRelease(2).welcomed("WELCOME ann fresh t") == ("WELCOME ann fresh t", "* VERSION world 2")
    assert WorldRelease(2).welcomed("OK 1 7") == ("OK 1 7",)


def test_without_the_defect_release_1_reads_what_release_2_wrote(tmp_path: Path) -> None:
    path = tmp_path / "input.log"
    written(path, WorldRelease(1), WorldRelease(2), WorldRelease(1))
    assert [record.tick for record in LogReader(path)] == [0, 1, 2, 3]


def test_with_it_release_1_cannot_and_release_2_takes_over_from_either(tmp_path: Path) -> None:
    path = tmp_path / "input.log"
    lines = written(path, GOOD, BAD, BAD)
    assert [line[:1] == b"{" for line in lines] == [True, True, False, False]
    with pytest.raises(CorruptLogError):
        list(LogReader(path))
    GOOD.take_over(tmp_path)
    assert path.read_bytes().splitlines() == lines, "release 1 does not know of it"
    BAD.take_over(tmp_path)
    assert [record.tick for record in LogReader(path)] == [0, 1, 2, 3]


def test_a_torn_record_is_left_for_recovery_to_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "input.log"
    written(path, BAD, BAD)
    path.write_bytes(path.read_bytes()[:-20])
    BAD.take_over(tmp_path)
    reader = LogReader(path)
    assert [record.tick for record in reader] == [0, 1]
    assert reader.torn_bytes > 0
