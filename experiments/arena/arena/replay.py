"""Replay: feed an input log to a fresh state machine and print the digest after every tick.

    python3 -m arena.replay --log input.log --seed 7 --states 100-110
    python3 -m arena.replay --log input.log --seed 7 --snapshot-at 100 --snapshot-to state.json
    python3 -m arena.replay --log input.log --seed 7 --snapshot state.json
    python3 -m arena.replay --log input.log --seed 7 --data folder

prints one JSON object a tick: `{"tick": n, "digest": "...", "parts": {...}}`, with `"state"` where it was asked for.
With `--data` it keeps its log and snapshots in the folder, as a world does, and goes on from there when started again.
A torn last record is tolerated and said on standard error. Exit codes: 0 done; 2 the wrong seed or no such file;
4 the log is damaged in the middle.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from arena import defects
from arena.inputlog import CorruptLogError, LineFile, LogReader, Record, config_of, digest_line, encode
from arena.recovery import read_snapshot, recover, write_snapshot, write_snapshot_to
from arena.state import State, combined

EXIT_USAGE = 2
EXIT_CORRUPT = 4
SNAPSHOT_EVERY = 200  # ticks, with --data


def replay(records: Iterator[Record], state: State | None, seed: int, planted: frozenset[str]) -> Iterator[State]:
    """Yield the state after every record, beginning at `state` (a snapshot's) or at tick 0.

    Raises ValueError when the log was written with another seed, CorruptLogError for an input that no world writes.
    """
    for record in records:
        if record.tick == 0:
            config = config_of(record)
            if config.seed != seed:
                raise ValueError(f"the log was written with seed {config.seed}; give --seed {config.seed}")
            state = state or State(config, planted)
        elif state is not None and record.tick > state.tick:
            try:
                state.step(record.inputs)
            except ValueError as error:
                raise CorruptLogError(str(error)) from error
        if state is not None and record.tick == state.tick:
            yield state


def kept(records: Iterator[Record], folder: Path, seed: int, planted: frozenset[str]) -> Iterator[State]:
    """Replay as `replay` does, with a world's files in `folder`: a tick is in its log before it is applied.

    Begins with the last tick that the folder has. Raises what `replay` raises, and OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = next(records, None)
    if first is None:
        return
    begun = recover(folder, config_of(first), planted, lambda text: print(text, file=sys.stderr)).state
    log, kept_ticks = LineFile(folder / "input.log"), begun.tick

    def logged() -> Iterator[Record]:
        for record in chain((first,), records):
            if record.tick > kept_ticks:
                log.append(encode(record.tick, record.inputs))
            yield record

    for state in replay(logged(), begun, seed, planted):
        if state.tick % SNAPSHOT_EVERY == 0:
            write_snapshot(folder, state)
        yield state
    log.close()


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    asked = _arguments(argv)
    reader = LogReader(asked.log)
    try:
        planted = defects.chosen(asked.defect)
        for state in _states(asked, iter(reader), planted):
            if state.tick == asked.snapshot_at:
                write_snapshot_to(asked.snapshot_to, state)
            parts = state.parts()
            shown = state.as_json() if state.tick in asked.states else None
            sys.stdout.buffer.write(digest_line(state.tick, combined(parts), parts, shown))
        sys.stdout.buffer.flush()
    except CorruptLogError as error:
        return _fail(EXIT_CORRUPT, str(error))
    except (OSError, ValueError) as error:
        return _fail(EXIT_USAGE, str(error))
    if reader.torn_bytes:
        print(f"the last {reader.torn_bytes} bytes, from byte {reader.good_bytes}, are a torn record", file=sys.stderr)
    return 0


def _states(asked: argparse.Namespace, records: Iterator[Record], planted: frozenset[str]) -> Iterator[State]:
    if asked.data is not None:
        return kept(records, asked.data, asked.seed, planted)
    start = None if asked.snapshot is None else read_snapshot(asked.snapshot, planted)
    return replay(records, start, asked.seed, planted)


def _fail(code: int, why: str) -> int:
    sys.stdout.buffer.flush()
    print(why, file=sys.stderr)
    return code


def _ticks(text: str) -> range:
    bounds = re.fullmatch(r"(\d+)-(\d+)", text)
    if bounds is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no span of ticks; write it as 100-110")
    return range(int(bounds[1]), int(bounds[2]) + 1)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="arena.replay", description="Replay an input log.")
    parser.add_argument("--log", type=Path, required=True, help="the input log")
    parser.add_argument("--seed", type=int, required=True, help="the seed of the world that wrote it")
    parser.add_argument("--states", type=_ticks, default=range(0), help="the ticks to print whole states for: 100-110")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--snapshot", type=Path, help="begin at this snapshot instead of at tick 0")
    begin.add_argument("--data", type=Path, help="keep log and snapshots in this folder, and go on from what is in it")
    parser.add_argument("--snapshot-at", type=int, help="write a snapshot after this tick, to --snapshot-to")
    parser.add_argument("--snapshot-to", type=Path, help="where to write it", default=Path("snapshot.json"))
    parser.add_argument("--defect", action="append", default=[], help="a planted defect, see arena/defects.py")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
