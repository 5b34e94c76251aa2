"""One million operations on disk, from opening the bundle to the verdict and its reports: at most 10 s and 500 MB.

    python benchmarks/judge.py [--operations 1000000]

The bundle is made by one process; a fresh one judges it and writes every report, whose peak memory is what counts.
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
MOST_S = 10.0
MOST_MB = 500.0
BOTS = 200


def make(folder: Path, operations: int) -> None:
    """Write a minute of load: `operations` samples, each of them an add with an invoke and a completion."""
    from chaosctl.recording.model import Mark
    from chaosctl.recording.writer import HistoryWriter
    from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth
    from tests.fixtures.generator import make as make_bundle

    length_ns = 60 * S
    step_ns = length_ns // operations

    def history(writer: HistoryWriter) -> None:
        for n in range(operations):
            at, bot, element = LOAD_START + n * step_ns, f"near-{n % BOTS}", str(n // BOTS + 1)
            writer.write(at, Mark.INVOKE, n, bot, "add", bot, element)
            writer.write(at + MS, Mark.OK, n, bot, "add", bot, element)
        for n in range(BOTS):
            id, bot, last = operations + n, f"near-{n}", operations // BOTS
            writer.write(LOAD_START + length_ns, Mark.INVOKE, id, bot, "read", bot, None)
            writer.write(LOAD_START + length_ns + MS, Mark.OK, id, bot, "read", bot, f"1-{last}")

    objectives = {
        "recovery": {"serviceable": "3s", "steady": "5s", "p99": "100ms", "errors": "1%"},
        "latency": {"p50": "50ms", "p99": "100ms", "p99.9": "1s", "max": "2s"},
        "errors": "0.1%",
        "throughput": {"at_least": "100/s"},
        "lost_acks": 0,
    }
    fault = TrueFault(ready=TIMELINE_START + S)
    outage = (TIMELINE_START, TIMELINE_START + S)
    truth = Truth(
        objectives=objectives,
        faults=[fault],
        outages=[outage],
        end=LOAD_START + length_ns,
        rate_per_s=operations // 60,
        latency=lambda at: (at // MS % 40 + 1) * MS,
        workers=2,
        history=history,
    )
    make_bundle(folder, truth)


def judge_once(folder: Path) -> None:
    """Judge the bundle, write its reports, and print both times and the peak memory of this process."""
    started_s = time.perf_counter()
    from chaosctl.recording.reader import Recording
    from chaosctl.report.write import write_reports
    from chaosctl.verify.judge import judge

    recording = Recording.open(folder)
    verdict = judge(recording)
    judged_s = time.perf_counter() - started_s
    write_reports(recording, verdict)
    took_s = time.perf_counter() - started_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{verdict.status} {judged_s:.2f} {took_s:.2f} {peak_mb:.0f}")


def main() -> int:
    """Make, judge in a fresh process, print, and return 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if asked.judge:
        judge_once(asked.judge)
        return 0
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "bundle"
        make(folder, asked.operations)
        size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        command = [sys.executable, __file__, "--judge", str(folder)]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    status, judged_s, took_s, peak_mb = said.split()
    print(f"{asked.operations} operations, {size_mb:.0f} MB on disk: {status}")
    print(f"judged in {judged_s} s, reported after {took_s} s (limit {MOST_S:g} s)")
    print(f"peak {peak_mb} MB (limit {MOST_MB:g} MB)")
    return int(status != "pass" or float(took_s) > MOST_S or float(peak_mb) > MOST_MB)


if __name__ == "__main__":
    raise SystemExit(main())
