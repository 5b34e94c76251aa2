"""Each pass of a replay of an arena log, plain and under every factor: at least 20 times real time.

    python benchmarks/replay.py [--minutes 2] [--players 100]

The log is played by the rules of the arena alone: players move, hit, chat and queue twice a second.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARENA = ROOT / "experiments" / "arena"
LEAST = 20.0
HZ = 20
RATE_PER_S = 2


def make(path: Path, ticks: int, players: int) -> None:
    """Write the log of so many ticks."""
    from arena.inputlog import encode_config
    from tests.experiments.arena.game import CONFIG, Game

    game, draw = Game(), random.Random(1)
    names = [f"near-{n}" for n in range(players)]
    numbers = dict.fromkeys(names, 0)
    game.play(*(["hello", name, f"key-{name}"] for name in names))
    for _ in range(ticks - 1):
        inputs = []
        for name in draw.sample(names, players * RATE_PER_S // HZ):
            numbers[name] += 1
            rest = draw.choice((
                ("move", draw.randint(-10, 10), draw.randint(-10, 10)), ("hit", draw.choice(names)),
                ("chat", "well played"), ("queue",),
            ))  # fmt: skip
            inputs.append([rest[0], name, numbers[name], *rest[1:]])
        game.play(*inputs)
    path.write_bytes(encode_config(CONFIG) + b"".join(game.log))


def measure(log: Path, bundle: Path) -> list[tuple[str, int, float]]:
    """Return each pass with its ticks and how long it took, in seconds."""
    from chaosctl.cli.arguments import load
    from chaosctl.recording.factors import Factor
    from chaosctl.replay.canary import Sighting
    from chaosctl.replay.perturbed import Perturbing
    from chaosctl.replay.run import ReplayRun

    loaded = load(ARENA / "world-crash.yaml", None)
    replay = loaded.experiment.target.services["world"].offers.replay
    assert replay is not None
    passes: list[tuple[str, int, float]] = []
    since_s = time.monotonic()

    def finished(run: ReplayRun) -> None:
        nonlocal since_s
        assert run.error is None, run
        passes.append((run.name, run.ticks, time.monotonic() - since_s))
        since_s = time.monotonic()

    def sighted(seen: Sighting) -> None:
        nonlocal since_s
        print(f"{seen.factor}: {'' if seen.reached else 'not tested: because '}{seen.text}", flush=True)
        since_s = time.monotonic()

    env = {name: value for name, value in os.environ.items() if name != "ARENA_DEFECT"}
    Perturbing(replay, log, bundle, loaded.folder, env, threading.Event(), sighted, finished).plain_and_all(
        2, tuple(Factor)
    )
    return passes


def main() -> int:
    """Make the log, replay it, print, and return 1 when a pass is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--players", type=int, default=100)
    asked = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ARENA)]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        log = folder / "inputs" / "world-0.log"
        log.parent.mkdir()
        make(log, round(asked.minutes * 60 * HZ), asked.players)
        print(f"{asked.minutes:g} minutes of {asked.players} players, {log.stat().st_size / 1e6:.1f} MB")
        passes = measure(log, folder)
    slowest = min(ticks / HZ / took_s for _, ticks, took_s in passes)
    for name, ticks, took_s in passes:
        print(f"{name:<26} {ticks:>6} ticks in {took_s:6.2f} s: {ticks / HZ / took_s:6.1f} times real time")
    print(f"slowest pass: {slowest:.1f} times real time (at least {LEAST:g})")
    return int(slowest < LEAST)


if __name__ == "__main__":
    raise SystemExit(main())
