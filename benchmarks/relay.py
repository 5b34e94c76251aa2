"""Round trips through the embedded relay, through Toxiproxy and directly, alternated in one run; prints ratios.

    python benchmarks/relay.py [--rounds 9] [--seconds 0.7]

64 bytes, an echo server and a closed-loop client in C (built here, so `cc` is needed). Each round measures all
three, and the medians over the rounds are compared. Both cores should be idle: other work takes a larger share from a
relay of one thread than from one of many.
Goals: at 50 and 500 connections at least 1.2 times Toxiproxy's round trips a second; at one connection at most 0.6
times the latency that Toxiproxy adds. Exit code 1 when one is missed, 2 when this machine lacks something.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from chaosctl.relay.contract import ProxySpec
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy

SOURCE = Path(__file__).with_name("relay_load.c")
CONNECTIONS = (50, 500, 1)
MESSAGE_BYTES = 64
RATE_GOAL = 1.2
ADDED_LATENCY_GOAL = 0.6


@dataclass(frozen=True)
class Measured:
    """One measurement: round trips a second, and the median round trip in microseconds."""

    rate: float
    trip_us: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The embedded relay against Toxiproxy and no relay.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.7, help="length of one measurement")
    arguments = parser.parse_args()
    toxiproxy = find_toxiproxy()
    compiler = shutil.which("cc")
    if toxiproxy is None or compiler is None:
        print("toxiproxy-server and cc are needed for this comparison.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        load = Path(folder) / "relay_load"
        subprocess.run([compiler, "-O2", "-o", str(load), str(SOURCE)], check=True)
        with ways(load, toxiproxy, Path(folder)) as ports:
            met = [compare(load, ports, count, arguments.rounds, arguments.seconds) for count in CONNECTIONS]
    return 0 if all(met) else 1


@contextmanager
def ways(load: Path, toxiproxy: Path, folder: Path) -> Iterator[dict[str, int]]:
    """Yield the port of each way to one echo server."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([str(load), "echo"], text=True, **pipes) as echo:  # ends when its input is closed
        assert echo.stdout is not None
        port = int(echo.stdout.readline())
        with (
            closing(start_embedded(seed=1, log_path=folder / "embedded.log", env=os.environ)) as embedded,
            closing(start_toxiproxy(toxiproxy, log_path=folder / "toxiproxy.log", env=os.environ)) as real,
        ):
            ports = {"direct": port}
            for relay in (embedded, real):
                state = relay.create(ProxySpec("benchmark", "127.0.0.1:0", f"127.0.0.1:{port}"))
                ports[relay.info.kind] = int(state.listen.rpartition(":")[2])
            yield ports


def compare(load: Path, ports: dict[str, int], connections: int, rounds: int, seconds: float) -> bool:
    """Measure each way in turn, print the medians and the ratio, and return whether the goal is met."""
    found: dict[str, list[Measured]] = {way: [] for way in ports}
    for _ in range(rounds):
        for way, port in ports.items():
            found[way].append(measure(load, port, connections, seconds))
    print(f"\n{connections} connection{'s' if connections > 1 else ''}, {rounds} rounds")
    middle = {way: Measured(median(m.rate for m in ms), median(m.trip_us for m in ms)) for way, ms in found.items()}
    for way, measured in middle.items():
        print(f"  {way:10} {measured.rate:10.0f} round trips/s   {measured.trip_us:8.1f} µs a trip")
    if connections > 1:
        ratio = middle["embedded"].rate / middle["toxiproxy"].rate
        met = ratio >= RATE_GOAL
        print(f"  embedded / toxiproxy: {ratio:.2f} times the rate (goal >= {RATE_GOAL}) {'met' if met else 'MISSED'}")
    else:
        added = {way: middle[way].trip_us - middle["direct"].trip_us for way in ("embedded", "toxiproxy")}
        ratio = added["embedded"] / added["toxiproxy"]
        met = ratio <= ADDED_LATENCY_GOAL
        print(f"  added: embedded {added['embedded']:.1f} µs, toxiproxy {added['toxiproxy']:.1f} µs")
        print(f"  embedded / toxiproxy: {ratio:.2f} of it (goal <= {ADDED_LATENCY_GOAL}) {'met' if met else 'MISSED'}")
    return met


def measure(load: Path, port: int, connections: int, seconds: float) -> Measured:
    """Run the client once."""
    command = [str(load), "load", str(port), str(connections), str(seconds), str(MESSAGE_BYTES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    rate, trip_us = done.stdout.split()
    return Measured(float(rate), float(trip_us))


if __name__ == "__main__":
    sys.exit(main())
