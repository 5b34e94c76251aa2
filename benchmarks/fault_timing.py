"""How late faults are: 200 of them on a real timeline, half on a link and half signals to a process; p99 at most 5 ms.

    python benchmarks/fault_timing.py [--faults 200] [--relay embedded|toxiproxy] [--proxies 1]

Each is made ready, written to the journal with fsync, applied and healed as in a run. Two figures, both from the
moment that the plan named: until the fault was called, and until it was in force (the call came back, and for a link,
was read back). The clock alone, which does nothing at its moments, says how noisy the machine is meanwhile.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.clock import MonotonicClock
from chaosctl.faults.contract import Exit, Place
from chaosctl.faults.registry import faults
from chaosctl.plan.model import Phase, Plan, PlannedFault, Step
from chaosctl.relay.contract import ProxySpec, Relay, Stream, Toxic
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy
from chaosctl.runner.timeline import Stage, Timeline
from chaosctl.safety.journal import UndoJournal
from chaosctl.safety.processes import look, send_signal

MS = 1_000_000
MOST_MS = 5.0
EVERY_NS = 60 * MS
LASTING_NS = 25 * MS
LEAD_NS = 1_500 * MS


@dataclass(frozen=True)
class Late:
    """How many ms after its due time a fault was called and was in force."""

    kind: str
    called_ms: float
    in_force_ms: float


class LinkProxy:
    """A proxy of a relay, as a fault may change it."""

    def __init__(self, relay: Relay, name: str) -> None:
        state = relay.create(ProxySpec(name, "127.0.0.1:0", "127.0.0.1:1"))
        self.name, self.listen, self.upstream, self.api_url = name, state.listen, state.upstream, state.api_url
        self._relay = relay

    def add_toxic(self, name: str, type: str, stream: Stream, attributes: Mapping[str, int]) -> None:
        """Add a toxic."""
        self._relay.add_toxic(self.name, Toxic(name, type, stream, attributes))

    def set_enabled(self, enabled: bool) -> None:
        """Open or shut it."""
        self._relay.set_enabled(self.name, enabled)


class Sleeper:
    """A process that only sleeps, as a fault may treat it."""

    service, index = "sleeper", 0

    def __init__(self) -> None:
        self._child = subprocess.Popen(["sleep", "600"])
        process = look(self._child.pid)
        self._start_ticks = process.start_ticks if process else 0

    def pid(self) -> int | None:
        """Return its process id."""
        return self._child.pid

    def start_ticks(self) -> int | None:
        """Return when it started."""
        return self._start_ticks

    def signal(self, name: str) -> None:
        """Send a signal."""
        send_signal(self._child.pid, self._start_ticks, signal.Signals[name])

    def hold_down(self) -> None:
        """Nothing restarts it anyway."""

    def release(self) -> None:
        """It is never down."""

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """It does not end."""
        return None

    def end(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()


def plan_of(count: int) -> Plan:
    """Return a plan of `count` faults, a link's and a process's in turn, each healed before the next."""
    planned = []
    for n in range(count):
        at_ns = LEAD_NS + n * EVERY_NS
        kind, acts_on, params = (
            ("latency", "link", {"latency_ns": 50 * MS, "jitter_ns": 0, "direction": "down"}),
            ("pause", "service", {}),
        )[n % 2]
        planned.append(PlannedFault(f"f{n}-{kind}", kind, acts_on, acts_on, params, at_ns, at_ns + LASTING_NS))  # type: ignore[arg-type]
    end_ns = LEAD_NS + (count + 1) * EVERY_NS
    steps = [Step(fault.inject_ns, "inject", fault.id) for fault in planned]
    steps += [Step(fault.heal_ns or 0, "heal", fault.id) for fault in planned]
    ordered = (*sorted(steps, key=lambda step: step.at_ns), Step(end_ns, "heal_all"))
    phases = (Phase("timeline", 0, end_ns),)
    return Plan(1, "fault-timing", "", "", 1, phases, tuple(planned), ordered, (), (), (), "", "", 0, 0, {})


def play(count: int, places: Mapping[str, Place], folder: Path) -> list[Late]:
    """Play the plan; return how late each fault was."""
    due_ns: dict[str, int] = {}
    late: list[Late] = []
    failed: list[str] = []

    def record(event: str, /, **fields: Any) -> None:
        if event == "fault_requested":
            due_ns[fields["fault"]] = fields["due_ns"]
        elif event == "fault_applied":
            due = due_ns[fields["fault"]]
            called_ms, in_force_ms = ((fields[at] - due) / MS for at in ("called_ns", "returned_ns"))
            late.append(Late(fields["fault"].partition("-")[2], called_ms, in_force_ms))
        elif event in ("fault_failed", "cleanup_failed"):
            failed.append(f"{fields['fault']}: {fields.get('why') or fields.get('what')}")

    clock = MonotonicClock()
    origin_ns = clock.now_ns()
    stage = Stage(
        faults=faults(),
        place_of=lambda planned: places[planned.acts_on],
        set_users=lambda users, over_s: None,
        journal=UndoJournal(folder / "undo.jsonl"),
        record=record,
        clock=clock,
        stop=threading.Event(),
        origin_ns=origin_ns,
    )
    timeline = Timeline(plan_of(count), stage)
    timeline.play(origin_ns)
    timeline.finish()
    if failed or len(late) != count:
        sys.exit(f"{len(late)} of {count} faults were applied; {'; '.join(failed[:3])}")
    return late


def clock_alone(times: int) -> list[float]:
    """Return how many ms late the clock wakes up for nothing."""
    clock, found = MonotonicClock(), []
    for _ in range(times):
        due_ns = clock.now_ns() + 20 * MS
        clock.sleep_until(due_ns)
        found.append((clock.now_ns() - due_ns) / MS)
    return found


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least `share` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def main() -> int:
    """Measure, print a table, and fail when p99 is over the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--relay", choices=("embedded", "toxiproxy"), default="embedded")
    parser.add_argument("--proxies", type=int, default=1, help="how many relays the faulted link has")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, env, binary = Path(name), dict(os.environ), find_toxiproxy()
        if asked.relay == "embedded":
            relay: Relay = start_embedded(seed=1, log_path=folder / "relay.log", env=env)
        elif binary is None:
            sys.exit("there is no toxiproxy-server here")
        else:
            relay = start_toxiproxy(binary, log_path=folder / "relay.log", env=env)
        sleeper = Sleeper()
        try:
            proxies = tuple(LinkProxy(relay, f"link-{n}") for n in range(asked.proxies))
            places = {"link": Place("link", proxies=proxies), "service": Place("service", processes=(sleeper,))}
            late = play(asked.faults, places, folder)
        finally:
            sleeper.end()
            relay.close()
        idle_ms = clock_alone(100)
    print(f"{asked.faults} faults, {asked.relay} relay, {asked.proxies} proxies to a link; ms after the due time")
    show("the clock alone", idle_ms)
    for kind in ("latency", "pause"):
        show(f"{kind}: called", [one.called_ms for one in late if one.kind == kind])
        show(f"{kind}: in force", [one.in_force_ms for one in late if one.kind == kind])
    p99_ms = show("all: in force", [one.in_force_ms for one in late])
    print(f"  {'pass' if p99_ms <= MOST_MS else 'FAIL'}: p99 at most {MOST_MS:g} ms")
    return 0 if p99_ms <= MOST_MS else 1


def show(what: str, values_ms: list[float]) -> float:
    """Print a row; return its p99."""
    p50, p90, p99, most = (percentile(values_ms, share) for share in (0.5, 0.9, 0.99, 1.0))
    print(f"  {what:18} p50 {p50:6.2f}  p90 {p90:6.2f}  p99 {p99:6.2f}  max {most:6.2f}")
    return p99


if __name__ == "__main__":
    sys.exit(main())
