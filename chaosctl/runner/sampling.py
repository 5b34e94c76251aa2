"""Numbers of the services, sampled while the load is on: what they offer, and what the kernel says of their processes.

Beside the clock that the faults are on: an own thread for the rounds and one for each replica that is asked, bounded
timeouts, and nothing of it ever raises into the run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.clock import Clock
from chaosctl.deploy.contract import Driver
from chaosctl.errors import ChaosctlError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Ask, Service
from chaosctl.probe.config import TotalsSource
from chaosctl.probe.totals import ask_totals
from chaosctl.runner.children import ask_url
from chaosctl.runner.timeline import Record
from chaosctl.safety.processes import all_processes

EVERY_NS = 500_000_000
MOST_THREADS = 32
OBJECTIVE = "metrics"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Sampling:
    """What is sampled: every replica of `services`. `origin_ns` is the run's start."""

    services: Mapping[str, Service]
    driver: Driver
    record: Record
    clock: Clock
    origin_ns: int

    @contextmanager
    def during(self, start_ns: int, objectives: Mapping[str, Any]) -> Iterator[None]:
        """Sample from `start_ns` until the end of the block, if there is an objective that asks for it."""
        if OBJECTIVE not in objectives:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._keep_asking, args=(start_ns, over), name="sampling", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    def _keep_asking(self, start_ns: int, over: threading.Event) -> None:
        """Ask all replicas together, twice a second; one that has not answered yet is not asked again."""
        replicas = [(name, index) for name, service in self.services.items() for index in range(service.replicas)]
        asking: dict[tuple[str, int], Future[None]] = {}
        due_ns, turn = start_ns, 0
        pool = ThreadPoolExecutor(min(MOST_THREADS, len(replicas)), thread_name_prefix="sampling")
        while self.clock.sleep_until(due_ns, over):
            turn += 1
            sessions = _sessions()
            for replica in replicas:
                if replica not in asking or asking[replica].done():
                    asking[replica] = pool.submit(self._sample, *replica, turn, sessions, over)
            due_ns += EVERY_NS
        pool.shutdown(wait=False, cancel_futures=True)

    def _sample(
        self, service: str, index: int, turn: int, sessions: Mapping[int, list[int]], over: threading.Event
    ) -> None:
        pid, values, error = None, dict[str, float](), ""
        try:
            process = self.driver.process(service, index)
            pid, container = process.pid(), process.container()
            # A replica leads a session of its own, in which its children are.
            in_sight = pid is not None and (container is None or not container.is_remote)
            values = process_numbers(sessions.get(pid, [pid]) if in_sight else ())
            if (ask := self.services[service].offers.metrics) is not None:
                offered, error = ask_totals(self._source(service, index, ask))
                values |= offered
        except (ChaosctlError, OSError, ValueError) as failed:
            error = f"{type(failed).__name__}: {failed}"[:200]
        at_ns = self.clock.now_ns() - self.origin_ns
        if not over.is_set():
            self.record(
                "metrics", at_ns=at_ns, service=service, replica=index, pid=pid, round=turn, values=values,
                ok=not error, error=error,
            )  # fmt: skip

    def _source(self, service: str, index: int, ask: Ask) -> TotalsSource:
        values = self.driver.values(service, index)
        if ask.http is not None:
            return TotalsSource(service, http=ask_url(ask.http, values))
        return TotalsSource(service, command=expand(ask.command or (), values))


def _sessions() -> dict[int, list[int]]:
    """Return the processes of every session. Once a round: on a busy machine it takes milliseconds, which the clock of
    the faults has to wait for."""
    found: dict[int, list[int]] = {}
    for process in all_processes():
        found.setdefault(process.session, []).append(process.pid)
    return found


def process_numbers(pids: Iterable[int], proc: Path = _PROC) -> dict[str, float]:
    """Return the sums over these processes of resident memory, CPU time with that of reaped children, threads and open
    files, by the names in `PROCESS_NUMBERS`; nothing when none of them is left.

    A page that several of them share counts for each. Fields as in proc_pid_stat(5).
    """
    seen = [numbers for pid in pids if (numbers := _numbers_of(proc / str(pid))) is not None]
    return {name: sum(numbers[name] for numbers in seen) for name in seen[0]} if seen else {}


def _numbers_of(folder: Path) -> dict[str, float] | None:
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        open_files = sum(1 for _ in (folder / "fd").iterdir())
    except OSError:
        return None
    # Counted from the state, which is field 3: utime to cstime are 14 to 17, num_threads is 20, rss is 24.
    return {
        "memory_bytes": int(fields[21]) * _PAGE_BYTES,
        "cpu_seconds": sum(map(int, fields[11:15])) / _TICKS_PER_S,
        "threads": int(fields[17]),
        "open_files": open_files,
    }
