"""Minimising ten minutes of the arena: 12 000 ticks of 45 players who duel, with a planted defect, in two minutes.

    python benchmarks/minimise.py [--defect unseeded-random] [--players 45] [--minutes 10] [--late]

The log is made by playing: a world without the defect is stepped through, a ledger answers at once, and players move,
strike, talk and queue, five actions a second each. With `--late` nobody strikes before the last minute, so that replays
part late and each trial is long.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaosctl.experiment.model import Replay
from chaosctl.replay.minimise import minimise
from chaosctl.replay.perturbed import Perturbing

ARENA = Path(__file__).parent.parent / "experiments" / "arena"
sys.path.insert(0, str(ARENA))

from arena.inputlog import encode, encode_config  # noqa: E402 -- found only now
from arena.state import Config, State  # noqa: E402

MOST_S = 120.0
HZ = 20
ACTIONS_PER_S = 5
TRANSCRIPT = ("python3", "-m", "arena.transcript")
REPLAY: Any = {
    "run": ["python3", "-m", "arena.replay", "--log", "${input_log}", "--seed", "7"],
    "states": ["--states", "${from_tick}-${to_tick}"],
    "inputs": {
        "decode": [*TRANSCRIPT, "decode", "--log", "${input_log}"],
        "encode": [*TRANSCRIPT, "encode", "--log", "${output}"],
    },
}


def played(rng: random.Random, players: int, ticks: int, struck_from: int) -> Iterator[bytes]:
    """Yield the lines of the log of a world in which so many players are at it."""
    config = Config(7)
    state = State(config)
    yield encode_config(config)
    numbers: dict[str, int] = {}
    for tick in range(1, ticks + 1):
        inputs: list[Any] = [
            ["ledger", key, True, dict.fromkeys(_named(state, key), 100)] for key in list(state.outbox)
        ]
        if tick <= players:
            numbers[f"near-{tick}"] = 0
            inputs.append(["hello", f"near-{tick}", f"key-{tick}"])
        for name in numbers:
            if rng.random() < ACTIONS_PER_S / HZ:
                numbers[name] += 1
                inputs.append(_action(rng, state, name, numbers[name], may_strike=tick >= struck_from))
        state.step(inputs)
        yield encode(tick, inputs)


def _named(state: State, key: str) -> list[str]:
    entry = state.outbox[key]
    return [str(entry[field]) for field in ("player", "a", "b") if field in entry]


def _action(rng: random.Random, state: State, name: str, n: int, *, may_strike: bool) -> list[Any]:
    player = state.players.get(name)
    duel = state.matches.get(player.match) if player is not None and player.match else None
    kind = rng.random()
    if duel is None and kind < 0.2:
        return ["queue", name, n]
    if duel is not None and kind < 0.5 and may_strike:
        return ["hit", name, n, duel.b if duel.a == name else duel.a]
    if kind < 0.6:
        return ["chat", name, n, f"word {rng.randrange(100)}"]
    return ["move", name, n, rng.randint(-10, 10), rng.randint(-10, 10)]


def main() -> int:
    """Record, replay, minimise; return 1 if it took too long or something could be left out of what is left."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--defect", default="unseeded-random")
    parser.add_argument("--players", type=int, default=45)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--late", action="store_true")
    given = parser.parse_args()
    ticks = round(given.minutes * 60 * HZ)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder)
        for name in ("inputs", "digests"):
            (bundle / name).mkdir()
        log = bundle / "inputs" / "world-0.log"
        struck_from = ticks - 60 * HZ if given.late else 0
        log.write_bytes(b"".join(played(random.Random(7), given.players, ticks, struck_from)))
        shared = Perturbing(
            replay=Replay.model_validate(REPLAY),
            input_log=log,
            bundle=bundle,
            folder=ARENA,
            env={**os.environ, "ARENA_DEFECT": given.defect},
            abort=threading.Event(),
            sighted=print,
            finished=print,
        )
        began_s = time.monotonic()
        shared.plain_and_all(2, ())
        replayed_s = time.monotonic() - began_s
        began_s = time.monotonic()
        (found,) = minimise(shared, (), round(MOST_S * 1e9), bundle)
        took_s = time.monotonic() - began_s
        print(found)
        if found.file is not None:
            print((bundle / found.file).with_name("inputs.jsonl").read_text())
        print(f"{log.stat().st_size >> 10} KiB, replayed 4 times or more in {replayed_s:.1f} s")
        print(f"minimised in {took_s:.1f} s, {found.trials} trials (at most {MOST_S:g} s)")
    return 0 if found.minimal and took_s <= MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())
