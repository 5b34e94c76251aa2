"""200 histories of one register, 150 to 1000 operations of 5 to 10 clients: each decided, at most 1 s at the median.

    python benchmarks/linearizability.py [--histories 200] [--seed 7]

A simulated register with delays before and after the moment of effect makes histories that are linearizable by
construction; now and then an outcome stays unknown. Every second one is then spoilt: a `get` answers with a value that
was overwritten before it was asked for, and written once only. What the search says must agree with that.

A register with a million operations is `unknown` at once: how long that takes, and how much memory, is printed too.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.measure.objects import judge_object, judge_operations, objects
from chaosctl.verify.measure.search import Answer, Budget, Op, Value

MOST_S = 1.0
BUDGET_S = 5.0
UNKNOWN_SHARE = 0.01
VALUES = 5
LONG = 1_000_000


def simulate(rng: random.Random, clients: int, count: int) -> list[Op]:
    """Return operations in the order in which they took effect."""
    free_ns = [rng.randrange(100) for _ in range(clients)]
    planned = []
    for id in range(count):
        client = min(range(clients), key=free_ns.__getitem__)
        asked = free_ns[client]
        effect = asked + rng.randrange(1, 1_000)
        done = effect + rng.randrange(1, 1_000)
        free_ns[client] = done + rng.randrange(1, 100)
        planned.append((effect, id, client, asked, done))
    value: Value = None
    ops = []
    for _, id, client, asked, done in sorted(planned):
        f = rng.choice(("write", "get", "get", "cas"))
        new = str(rng.randrange(VALUES))
        if f == "cas" and (value is None or rng.random() < 0.5):
            f = "get"
        unknown = f != "get" and rng.random() < UNKNOWN_SHARE
        old, value = value, value if f == "get" else new
        found = value if f == "get" else new
        ops.append(Op(id, f"c{client}", f, old if f == "cas" else None, found, asked, None if unknown else done))
    return ops


def spoil(rng: random.Random, ops: list[Op]) -> list[Op]:
    """Let a late `get` find what a single early write had put there, overwritten by a write that was sure."""
    writes = [n for n, op in enumerate(ops) if op.f == "write" and op.done_ns is not None]
    early = rng.choice(writes[: len(writes) // 3])
    over = next(n for n in writes if ops[n].asked_ns > (ops[early].done_ns or 0))
    late = rng.choice([n for n, op in enumerate(ops) if op.f == "get" and op.asked_ns > (ops[over].done_ns or 0)])
    spoilt = list(ops)
    spoilt[late] = replace(ops[late], new="stale")
    write = Op(len(ops), "stale", "write", None, "stale", *_before(ops[early]))
    return [write, *spoilt]


def _before(op: Op) -> tuple[int, int | None]:
    return op.asked_ns, op.done_ns


def one_long_register(count: int) -> str:
    """Judge a register with so many operations, read from a file, and say how long that took and what it needed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        writer = HistoryWriter(path)
        for n in range(count):
            f = "get" if n % 2 else "write"
            writer.write(10 * n, Mark.INVOKE, n, "c0", f, "k", None if n % 2 else str(n))
            writer.write(10 * n + 5, Mark.OK, n, "c0", f, "k", str(n - n % 2))
        writer.close()
        began_s, used_mb = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        history = read_history(path, print)
        (register,) = objects(history)
        until_ns = time.monotonic_ns() + int(BUDGET_S * 1e9)
        judged = judge_object(history, register, Budget(500_000, until_ns, time.monotonic_ns))
        took_s = time.monotonic() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return f"{count} on one register: {judged.answer.value} after {took_s:.2f} s, {used_mb:.0f} to {peak_mb:.0f} MB"


def main() -> int:
    """Decide them all; return 1 if one is wrong, undecided, or the median is too slow."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    took_s, states, wrong, undecided = [], [], 0, 0
    for n in range(given.histories):
        ops = simulate(rng, rng.randint(5, 10), rng.randint(150, 1_000))
        ops = spoil(rng, ops) if n % 2 else ops
        began = time.monotonic()
        until_ns = time.monotonic_ns() + int(BUDGET_S * 1e9)
        judged = judge_operations("register", ops, Budget(500_000, until_ns, time.monotonic_ns))
        took_s.append(time.monotonic() - began)
        states.append(judged.states)
        undecided += judged.answer is Answer.UNKNOWN
        wrong += judged.answer is (Answer.YES if n % 2 else Answer.NO)
    median_s = statistics.median(took_s)
    print(f"{given.histories} histories: median {median_s:.3f} s, slowest {max(took_s):.3f} s (at most {MOST_S} s)")
    print(one_long_register(LONG))
    print(f"states: median {statistics.median(states):.0f}, most {max(states)}; {wrong} wrong, {undecided} undecided")
    return 0 if median_s <= MOST_S and not wrong and not undecided else 1


if __name__ == "__main__":
    sys.exit(main())
