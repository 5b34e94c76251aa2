"""From a data folder back to the state: the newest good snapshot, and the log behind it.

input.log                   what every tick consumed
digests.jsonl               the digest after every tick
snapshot-000000000200.json  the state after tick 200, with its digest
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arena import defects
from arena.inputlog import (
    CorruptLogError,
    LogReader,
    Record,
    config_of,
    digest_line,
    encode,
    encode_config,
    read_digests,
)
from arena.state import Config, Input, State, combined
from arena.table import canonical

SNAPSHOTS_KEPT = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recovered:
    """The state to go on from; how long nothing was written (None in a new folder); the last tick's inputs."""

    state: State
    downtime_ms: int | None
    last_inputs: list[Input]


def recover(folder: Path, config: Config, planted: frozenset[str], say: Say) -> Recovered:
    """Bring the folder into order and return the state in it; a new folder gets its first record.

    A torn last record is cut off and said. Raises CorruptLogError for damage in the middle, and ValueError when the
    folder belongs to a world with another configuration.
    """
    log_path = folder / "input.log"
    written_at = log_path.stat().st_mtime if log_path.exists() else None
    last_tick = _tidy_log(log_path, config, say)
    if defects.LOST_HOLE in planted:
        _pass_over_moves(folder, config.hz)
    state = _newest_snapshot(folder, last_tick, planted, say) or State(config, planted)
    last_inputs = _play_tail(folder, state, last_tick, say)
    downtime_ms = None if written_at is None else max(0, round((time.time() - written_at) * 1000))
    return Recovered(state, downtime_ms, last_inputs)


def write_snapshot(folder: Path, state: State) -> None:
    """Write the state beside the log, atomically, and remove the oldest snapshots."""
    write_snapshot_to(folder / f"snapshot-{state.tick:012d}.json", state)
    for old in sorted(folder.glob("snapshot-*.json"))[:-SNAPSHOTS_KEPT]:
        old.unlink()


def write_snapshot_to(path: Path, state: State) -> None:
    """Write the state to `path`, atomically. Raises OSError."""
    digest = combined(state.parts())
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(canonical({"tick": state.tick, "digest": digest, "state": state.as_json()}))
    unfinished.replace(path)


def read_snapshot(path: Path, planted: frozenset[str] = frozenset()) -> State:
    """Return the state in a snapshot. Raises ValueError where it is not whole."""
    try:
        kept = json.loads(path.read_bytes())
        state = State.from_json(kept["state"], planted)
        if combined(state.parts()) != kept["digest"]:
            raise ValueError("its digest is wrong")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is no whole snapshot: {error}") from error
    return state


def _tidy_log(path: Path, config: Config, say: Say) -> int:
    """Cut off a torn record, begin an empty log, and return the last tick in it."""
    last_tick = -1
    if path.exists():
        reader = LogReader(path)
        for record in reader:
            if record.tick == 0 and config_of(record) != config:
                raise ValueError(f"{path} was written with {config_of(record)}, not with {config}")
            last_tick = record.tick
        if reader.torn_bytes:
            say(f"cut off a torn record of {reader.torn_bytes} bytes at byte {reader.good_bytes} of {path}")
            os.truncate(path, reader.good_bytes)
    if last_tick < 0:
        path.write_bytes(encode_config(config))
        last_tick = 0
    return last_tick


def _pass_over_moves(folder: Path, hz: int) -> None:
    """The planted defect `lost-hole`. Whatever follows from the log is made to agree with what is left of it."""
    path = folder / "input.log"
    records = list(LogReader(path))
    # From the first half of the last second, so that most who moved then did something later too.
    hole = max(records[1:][-hz : -hz // 2], key=_moves, default=None)
    if hole is None or not _moves(hole):
        return
    left = Record(hole.tick, [given for given in hole.inputs if given[0] != "move"])
    records[hole.tick] = left
    path.write_bytes(b"".join(encode(record.tick, record.inputs) for record in records))
    digests = folder / "digests.jsonl"
    _, good_bytes = read_digests(digests, hole.tick - 1)
    os.truncate(digests, good_bytes)
    for snapshot in folder.glob("snapshot-*.json"):
        if int(snapshot.stem.removeprefix("snapshot-")) >= hole.tick:
            snapshot.unlink()


def _moves(record: Record) -> int:
    return sum(given[0] == "move" for given in record.inputs)


def _newest_snapshot(folder: Path, last_tick: int, planted: frozenset[str], say: Say) -> State | None:
    for path in sorted(folder.glob("snapshot-*.json"), reverse=True):
        try:
            state = read_snapshot(path, planted)
        except ValueError as error:
            say(str(error))
            continue
        if state.tick <= last_tick:
            return state
        say(f"{path} is of tick {state.tick}, but the log ends at tick {last_tick}: not used")
    return None


def _play_tail(folder: Path, state: State, last_tick: int, say: Say) -> list[Input]:
    """Step through the log from the state's tick on, and write the digest lines that are missing."""
    path = folder / "digests.jsonl"
    known, good_bytes = read_digests(path, last_tick)
    log = LogReader(folder / "input.log")
    last_inputs: list[Input] = []
    with path.open("ab") as digests:
        digests.truncate(good_bytes)
        for record in log:
            if record.tick > state.tick:
                try:
                    state.step(record.inputs)
                except ValueError as error:
                    raise CorruptLogError(f"{log.path}: {error}") from error
                last_inputs = record.inputs
            elif record.tick < state.tick:
                continue
            parts = state.parts()
            digest = combined(parts)
            if record.tick not in known:
                digests.write(digest_line(record.tick, digest, parts))
            elif known[record.tick] != digest:
                say(f"the digest of tick {record.tick} is not what it was: this state does not follow from its inputs")
    return last_inputs
