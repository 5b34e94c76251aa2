from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from arena import replay
from arena.inputlog import CorruptLogError, LineFile, LogReader, digest_line, encode
from arena.recovery import recover, write_snapshot
from arena.state import Config, State, combined

CONFIG = Config(seed=7)
TICKS = 12


def no_word(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A world's folder after 12 ticks of moves, with a snapshot in the middle."""
    state = recover(tmp_path, CONFIG, frozenset(), no_word).state
    log, digests = LineFile(tmp_path / "input.log"), LineFile(tmp_path / "digests.jsonl")
    for tick in range(1, TICKS + 1):
        inputs = [["hello", "ann", "k"]] if tick == 1 else [["move", "ann", tick, 1, -1]]
        log.append(encode(tick, inputs))
        state.step(inputs)
        digests.append(digest_line(tick, combined(state.parts()), state.parts()))
        if tick == TICKS // 2:
            write_snapshot(tmp_path, state)
    log.close()
    digests.close()
    return tmp_path


def digest_ticks(folder: Path) -> list[int]:
    return [json.loads(line)["tick"] for line in (folder / "digests.jsonl").read_bytes().splitlines()]


def test_a_new_folder_gets_its_first_record(tmp_path: Path) -> None:
    recovered = recover(tmp_path, CONFIG, frozenset(), no_word)
    assert recovered.downtime_ms is None
    assert recovered.state.tick == 0
    assert digest_ticks(tmp_path) == [0]


def test_it_goes_on_where_it_stopped(folder: Path) -> None:
    recovered = recover(folder, CONFIG, frozenset(), no_word)
    assert recovered.state.tick == TICKS
    assert recovered.state.players["ann"].seen() == f"2-{TICKS}"
    assert recovered.downtime_ms is not None
    assert digest_ticks(folder) == list(range(TICKS + 1))


def test_with_and_without_snapshot_is_the_same(folder: Path) -> None:
    with_one = recover(folder, CONFIG, frozenset(), no_word).state
    for snapshot in folder.glob("snapshot-*"):
        snapshot.unlink()
    assert recover(folder, CONFIG, frozenset(), no_word).state.parts() == with_one.parts()


def test_a_log_cut_at_any_byte_of_its_tail_recovers_to_its_last_whole_tick(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "input.log").read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(b"".join(lines[:-3])), len(whole)):
        copy = tmp_path / f"cut-{cut}"
        copy.mkdir()
        for file in folder.glob("*.*"):
            if file.is_file():
                shutil.copy(file, copy)
        (copy / "input.log").write_bytes(whole[:cut])
        said: list[str] = []
        state = recover(copy, CONFIG, frozenset(), said.append).state
        assert state.tick == whole[:cut].count(b"\n") - 1
        assert digest_ticks(copy) == list(range(state.tick + 1))
        assert len((copy / "input.log").read_bytes()) <= cut
        assert bool(said) == (not whole[:cut].endswith(b"\n"))


def test_digests_that_were_not_written_any_more_are_written(folder: Path) -> None:
    path = folder / "digests.jsonl"
    before = path.read_bytes()
    path.write_bytes(before[:-100])
    recover(folder, CONFIG, frozenset(), no_word)
    assert path.read_bytes() == before


def test_a_damaged_snapshot_is_not_used_and_said(folder: Path) -> None:
    (snapshot,) = folder.glob("snapshot-*")
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"hp":100', b'"hp":101'))
    said: list[str] = []
    assert recover(folder, CONFIG, frozenset(), said.append).state.tick == TICKS
    assert "no whole snapshot" in said[0]


def damaged(folder: Path) -> int:
    """Change one input in the middle; return the offset of its record."""
    lines = (folder / "input.log").read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b",1,-1]", b",1,-2]")
    (folder / "input.log").write_bytes(b"".join(lines))
    return len(b"".join(lines[:5]))


def test_a_damaged_record_in_the_middle_is_refused_with_its_place(folder: Path) -> None:
    offset = damaged(folder)
    with pytest.raises(CorruptLogError, match=rf"at byte {offset} is damaged: its checksum is wrong"):
        recover(folder, CONFIG, frozenset(), no_word)


def test_a_missing_record_is_noticed(folder: Path) -> None:
    lines = (folder / "input.log").read_bytes().splitlines(keepends=True)
    (folder / "input.log").write_bytes(b"".join([*lines[:4], *lines[5:]]))
    with pytest.raises(CorruptLogError, match="tick 5 stands where tick 4 belongs"):
        list(LogReader(folder / "input.log"))


def test_the_folder_of_another_world_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="was written with"):
        recover(folder, Config(seed=8), frozenset(), no_word)


def replayed(capfdbinary: pytest.CaptureFixture[bytes], *words: str) -> tuple[int, bytes, str]:
    code = replay.main(list(words))
    out, err = capfdbinary.readouterr()
    return code, out, err.decode()


def test_a_replay_prints_the_live_digests(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, out, err = replayed(capfdbinary, "--log", str(folder / "input.log"), "--seed", "7")
    assert (code, err) == (0, "")
    assert out == (folder / "digests.jsonl").read_bytes()


def test_a_replay_prints_states_where_asked(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = str(folder / "input.log")
    _, out, _ = replayed(capfdbinary, "--log", log, "--seed", "7", "--states", "3-4")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["tick"] for row in rows if "state" in row] == [3, 4]
    assert combined(State.from_json(rows[4]["state"]).parts()) == rows[4]["digest"]


def test_a_replay_from_a_snapshot_is_the_tail_of_the_whole_one(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (snapshot,) = folder.glob("snapshot-*")
    log = str(folder / "input.log")
    code, out, _ = replayed(capfdbinary, "--log", log, "--seed", "7", "--snapshot", str(snapshot))
    assert code == 0
    whole = (folder / "digests.jsonl").read_bytes().splitlines(keepends=True)
    assert out == b"".join(whole[TICKS // 2 :])


def test_a_torn_record_is_tolerated_by_a_replay(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with (folder / "input.log").open("ab") as log:
        log.write(b'{"tick":13,"inp')
    code, out, err = replayed(capfdbinary, "--log", str(folder / "input.log"), "--seed", "7")
    assert code == 0
    assert "torn record" in err
    assert out == (folder / "digests.jsonl").read_bytes()


def test_a_replay_of_a_damaged_log_says_where(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    offset = damaged(folder)
    code, _, err = replayed(capfdbinary, "--log", str(folder / "input.log"), "--seed", "7")
    assert code == 4
    assert f"at byte {offset}" in err


def test_tampering_with_a_right_checksum_changes_the_digests(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    lines = (folder / "input.log").read_bytes().splitlines(keepends=True)
    lines[5] = encode(5, [["move", "ann", 5, 2, -1]])
    (folder / "input.log").write_bytes(b"".join(lines))
    code, out, _ = replayed(capfdbinary, "--log", str(folder / "input.log"), "--seed", "7")
    assert code == 0
    live = (folder / "digests.jsonl").read_bytes().splitlines()
    assert [one == other for one, other in zip(out.splitlines(), live, strict=True)].index(False) == 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--seed", "8"], "written with seed 7"),
        (["--seed", "7", "--defect", "typo"], "unknown defect 'typo'"),
        (["--seed", "7", "--snapshot", "nowhere.json"], "nowhere.json"),
    ],
)
def test_a_wrong_call_of_a_replay_is_one_sentence(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes], words: list[str], text: str
) -> None:
    code, out, err = replayed(capfdbinary, "--log", str(folder / "input.log"), *words)
    assert (code, out) == (2, b"")
    assert text in err
    assert err.count("\n") == 1
