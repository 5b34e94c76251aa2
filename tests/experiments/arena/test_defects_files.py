"""Planted defects around the files: what a log lacks after a kill, or a recovery leaves out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from arena import defects
from arena.inputlog import BUFFER_BYTES, LineFile, LogReader, digest_line, encode, input_log
from arena.recovery import recover, write_snapshot
from arena.releases import WorldRelease
from arena.state import Config, State, combined
from arena.world import World

CONFIG = Config(seed=7)
NO_LEDGER = ("127.0.0.1", 9)
NAMES = ("ann", "bob", "cid")
TICKS = 60


def no_word(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


def survives(folder: Path, planted: frozenset[str], ticks: int) -> list[int]:
    """Write so many ticks and be killed; return the ticks that can be read."""
    folder.mkdir()
    log = input_log(folder / "input.log", planted)
    for tick in range(ticks):
        log.append(encode(tick, [["move", "ann", tick, 1, 1]] * 10))
    reader = LogReader(folder / "input.log")
    left = [record.tick for record in reader]  # what a kill here would leave
    log.close()
    assert [record.tick for record in reader] == list(range(ticks)), "an orderly end writes the rest"
    return left


def test_a_log_without_a_flush_lacks_what_is_in_its_buffer(tmp_path: Path) -> None:
    assert survives(tmp_path / "clean", frozenset(), 300) == list(range(300))
    left = survives(tmp_path / "planted", frozenset({defects.NO_FLUSH}), 300)
    record = len(encode(100, [["move", "ann", 100, 1, 1]] * 10))
    assert left == list(range(len(left)))
    assert 0 < (300 - len(left)) * record < BUFFER_BYTES + 2 * record


def played(folder: Path, planted: frozenset[str]) -> Path:
    """Leave the folder of a world that was killed after three seconds in which three players moved and talked."""
    folder.mkdir()
    state = recover(folder, CONFIG, frozenset(), no_word).state
    with closing(LineFile(folder / "input.log")) as log, closing(LineFile(folder / "digests.jsonl")) as digests:
        for tick in range(1, TICKS + 1):
            inputs = [_input(tick, name) for name in NAMES]
            log.append(encode(tick, inputs))
            state.step(inputs)
            digests.append(digest_line(tick, combined(state.parts()), state.parts()))
            if tick in (TICKS // 2, TICKS):
                write_snapshot(folder, state)
    return folder


def _input(tick: int, name: str) -> list[str | int]:
    if tick == 1:
        return ["hello", name, "k"]
    if tick % 2 and name == "cid":
        return ["chat", name, tick, "well"]
    return ["move", name, tick, 1, 1]


def applied(state: State) -> dict[str, str]:
    return {player.name: player.seen() for player in state.players.rows()}


def test_a_recovery_passes_over_moves_of_the_last_second_and_keeps_what_came_later(tmp_path: Path) -> None:
    clean = recover(played(tmp_path / "clean", frozenset()), CONFIG, frozenset(), no_word)
    assert applied(clean.state) == dict.fromkeys(NAMES, f"2-{TICKS}")

    folder = played(tmp_path / "planted", frozenset())
    planted = recover(folder, CONFIG, frozenset({defects.LOST_HOLE}), no_word)
    hole = 42  # the tick with the most moves of 41 to 50
    assert applied(planted.state) == dict.fromkeys(NAMES, f"2-{hole - 1},{hole + 1}-{TICKS}")
    assert planted.state.tick == TICKS
    records = list(LogReader(folder / "input.log"))
    assert [record.tick for record in records if not record.inputs] == [hole]


def test_after_the_hole_the_files_agree_with_each_other(tmp_path: Path) -> None:
    folder = played(tmp_path / "world", frozenset())
    recovered = recover(folder, CONFIG, frozenset({defects.LOST_HOLE}), no_word)
    state = State(CONFIG)
    digests = [combined(state.parts())]
    for record in list(LogReader(folder / "input.log"))[1:]:
        state.step(record.inputs)
        digests.append(combined(state.parts()))
    written = [json.loads(line)["digest"] for line in (folder / "digests.jsonl").read_bytes().splitlines()]
    assert written == digests
    assert recovered.state.parts() == state.parts()
    assert [path.name for path in folder.glob("snapshot-*")] == [f"snapshot-{TICKS // 2:012d}.json"]


def test_a_hole_needs_moves_to_lose(tmp_path: Path) -> None:
    recover(tmp_path, CONFIG, frozenset(), no_word)
    before = (tmp_path / "input.log").read_bytes()
    recover(tmp_path, CONFIG, frozenset({defects.LOST_HOLE}), no_word)
    assert (tmp_path / "input.log").read_bytes() == before


@pytest.fixture(params=[frozenset(), frozenset({defects.UNLOGGED_INPUT})], ids=["clean", "planted"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    recovered = recover(tmp_path, CONFIG, request.param, no_word)
    with closing(World(recovered, tmp_path, NO_LEDGER, WorldRelease.of(1, request.param))) as world:
        yield world


def test_what_is_said_is_applied_and_not_in_the_log(world: World, tmp_path: Path) -> None:
    world._inputs += [["hello", "ann", "k"], ["move", "ann", 1, 1, 1], ["chat", "ann", 2, "well"]]
    world.tick()
    assert applied(world.state) == {"ann": "1-2"}
    assert world.state.chat == [("ann", "well")]
    *_, record = LogReader(tmp_path / "input.log")
    logged = [given[0] for given in record.inputs]
    assert logged == ["hello", "move"] + ["chat"] * (not world.state.planted)
