"""Ten million operations on disk, judged by every history checker and reported: at most 60 s and 1.5 GB.

    python benchmarks/histories.py [--operations 10000000]

One million may take 8 s. The bundle is made by one process; a fresh one judges it with every history objective
(linearizability aside), and the usual ones, and writes every report. Its CPU time stands beside the wall time, since a
machine may be shared. An operation has a sample, an invoke and a completion; of every ten, seven add to a set, one
reads one as a whole, and one is sent into a stream and received by another bot.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_S = {1_000_000: 8.0, 10_000_000: 60.0}
MOST_MB = 1_500.0
BOTS = 200
LENGTH_S = 600
ACK_NS = 400_000
OBJECTIVES = {
    "recovery": {"serviceable": "3s", "steady": "5s", "p99": "100ms", "errors": "1%"},
    "latency": {"p50": "50ms", "p99": "100ms", "p99.9": "1s", "max": "2s"},
    "errors": "0.1%",
    "throughput": {"at_least": "100/s"},
    "lost_acks": 0,
    "exactly_once": 0,
    "read_your_writes": 0,
    "monotonic_reads": 0,
    "monotonic_writes": 0,
    "writes_follow_reads": 0,
    "convergence": "5s",
    "inconsistency": "5s",
    "total_order": 0,
}


def make(folder: Path, operations: int) -> None:
    """Write ten minutes of load of `operations` operations of 200 bots, in rounds of one operation a bot."""
    from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth
    from tests.fixtures.generator import make as make_bundle

    length_ns = LENGTH_S * S
    truth = Truth(
        objectives=OBJECTIVES,
        faults=[TrueFault(ready=TIMELINE_START + S)],
        outages=[(TIMELINE_START, TIMELINE_START + S)],
        end=LOAD_START + length_ns,
        rate_per_s=operations // LENGTH_S,
        latency=lambda at: (at // MS % 40 + 1) * MS,
        workers=2,
    )
    make_bundle(folder, truth)
    write_history(folder / "history.jsonl", operations, LOAD_START, length_ns)


def write_history(path: Path, operations: int, start_ns: int, length_ns: int) -> None:
    """Write what `HistoryWriter` would, a round at a time and without its care, since this is not what is measured."""
    line = '{"at_ns":%d,"mark":"%s","id":%d,"bot":"near-%d","f":"%s","key":"%s","value":%s}\n'
    rounds = operations // BOTS
    step_ns = length_ns // (operations + 3 * BOTS)
    with path.open("w") as file:
        for turn in range(rounds + 3):
            lines = []
            for bot in range(BOTS):
                id, at_ns = turn * BOTS + bot, start_ns + (turn * BOTS + bot) * step_ns
                f, key, value = operation(turn, bot) if turn < rounds else last_operation(turn - rounds, bot, rounds)
                if f != "receive":
                    lines.append(line % (at_ns, "invoke", id, bot, f, key, "null" if f == "read" else value))
                # Answered before the bot asks again.
                lines.append(line % (at_ns + (ACK_NS if f != "receive" else 0), "ok", id, bot, f, key, value))
            file.writelines(lines)


def operation(turn: int, bot: int) -> tuple[str, str, str]:
    """Return f, key and value of a bot's turn: seven adds and a read, then what is sent and received."""
    tens, one = divmod(turn, 10)
    if one < 7:
        return "add", f"set-{bot}", f'"{tens * 7 + one + 1}"'
    if one == 7:
        return "read", f"set-{bot}", f'"1-{tens * 7 + 7}"'
    if bot % 10 == 0:
        return "send", f"stream-{bot // 10}", f'"{2 * tens + one - 7}"'
    return received(bot, 2 * tens + one - 8) if turn > 8 else ("read", f"set-{bot}", '"1-7"')


def last_operation(turn: int, bot: int, rounds: int) -> tuple[str, str, str]:
    """Return what each bot does in the end: it reads its set, and receives what it had not yet received."""
    tens, one = divmod(rounds, 10)
    sent = 2 * tens + max(0, one - 8)
    if turn == 1 and sent and bot % 10:
        return received(bot, sent)
    return "read", f"set-{bot}", f'"1-{tens * 7 + min(one, 7)}"'


def received(bot: int, element: int) -> tuple[str, str, str]:
    """Return the receipt of an element of the bot's stream."""
    return "receive", f"stream-{bot // 10}", f'"{element}"'


def judge_once(folder: Path) -> None:
    """Judge the bundle, write its reports, and print the times and the peak memory of this process."""
    started_s = time.perf_counter()
    from chaosctl.recording.reader import Recording
    from chaosctl.report.write import write_reports
    from chaosctl.verify.judge import judge

    recording = Recording.open(folder)
    verdict = judge(recording)
    judged_s = time.perf_counter() - started_s
    write_reports(recording, verdict)
    took_s = time.perf_counter() - started_s
    used = resource.getrusage(resource.RUSAGE_SELF)
    for finding in verdict.objectives:
        if finding.status != "pass":
            print(f"{finding.name}: {finding.status}: {finding.why}")
    cpu_s = used.ru_utime + used.ru_stime
    print(f"{verdict.status} {judged_s:.2f} {took_s:.2f} {cpu_s:.2f} {used.ru_maxrss / 1000:.0f}")


def main() -> int:
    """Make, judge in a fresh process, print, and return 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=10_000_000)
    parser.add_argument("--bundle", type=Path, help="make the bundle here and keep it, or judge the one that is there")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if asked.make:
        make(asked.make, asked.operations)
        return 0
    if asked.judge:
        judge_once(asked.judge)
        return 0
    with tempfile.TemporaryDirectory() as parent:
        folder = asked.bundle or Path(parent) / "bundle"
        if not folder.exists():
            # A process of its own: the peak memory of a process is handed on to those that it starts.
            command = [sys.executable, __file__, "--operations", str(asked.operations), "--make", str(folder)]
            subprocess.run(command, check=True)
        size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        command = [sys.executable, __file__, "--judge", str(folder)]
        *odd, said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    status, judged_s, took_s, cpu_s, peak_mb = said.split()
    most_s = min((limit for n, limit in MOST_S.items() if n >= asked.operations), default=float("inf"))
    print(*odd, f"{asked.operations} operations, {size_mb:.0f} MB on disk: {status}", sep="\n")
    print(f"judged in {judged_s} s, reported after {took_s} s, of CPU {cpu_s} s (limit {most_s:g} s)")
    print(f"peak {peak_mb} MB (limit {MOST_MB:g} MB)")
    return int(status != "pass" or float(took_s) > most_s or float(peak_mb) > MOST_MB)


if __name__ == "__main__":
    raise SystemExit(main())
