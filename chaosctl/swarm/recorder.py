"""What one load-generating process writes into the run bundle, and its counts for the live view."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from chaosctl.recording.model import Mark, Outcome
from chaosctl.recording.writer import HistoryWriter, SampleWriter

# Reasons are names in a dictionary column: a bot that writes numbers into them must not fill the memory.
KINDS_OF_ERROR = 200


class Recorder:
    """The samples and history of worker `worker` of `workers`. All times given to it are monotonic ns.

    Operations with intended times and those without have files of their own, made when the first one comes; the file
    of the worker is `swarm-<k>.arrow`, and `swarm-<k>-closed.arrow` for what an ordinary user class did beside it.
    """

    def __init__(self, bundle: Path, origin_ns: int, worker: int, workers: int, *, open_loop: bool) -> None:
        self._samples = bundle / "samples"
        self._origin_ns = origin_ns
        self._worker = worker
        self._writers = {open_loop: SampleWriter(self._samples / f"swarm-{worker}.arrow", open_loop=open_loop)}
        self._history = HistoryWriter(bundle / "history.jsonl")
        self._ids = itertools.count(worker, workers)
        self._errors: set[str] = set()
        self._tally = Tally()
        _warm_up()

    def sample(
        self,
        intended_ns: int,
        sent_ns: int,
        end_ns: int | None,
        outcome: Outcome,
        bot: str,
        operation: str,
        cohort: str,
        error: str = "",
        *,
        open_loop: bool = True,
    ) -> None:
        """Record one operation; `end_ns` None: no end was seen. Raises RecordingError when the disk refuses."""
        writer = self._writers.get(open_loop) or self._open_second(open_loop)
        origin_ns = self._origin_ns
        ended_ns = -1 if end_ns is None else end_ns - origin_ns
        if error:
            error = self._bounded(error)
        writer.add(intended_ns - origin_ns, sent_ns - origin_ns, ended_ns, outcome, bot, operation, cohort, error)
        self._tally.add(outcome, None if end_ns is None else (end_ns - intended_ns) / 1e6)

    def _open_second(self, open_loop: bool) -> SampleWriter:
        suffix = "open" if open_loop else "closed"
        path = self._samples / f"swarm-{self._worker}-{suffix}.arrow"
        self._writers[open_loop] = SampleWriter(path, open_loop=open_loop)
        return self._writers[open_loop]

    def _bounded(self, error: str) -> str:
        if error not in self._errors:
            if len(self._errors) >= KINDS_OF_ERROR:
                return "other"
            self._errors.add(error)
        return error

    def next_id(self) -> int:
        """Return an id for a history operation, unique over all workers of the run."""
        return next(self._ids)

    def history(self, at_ns: int, mark: Mark, id: int, bot: str, f: str, key: str, value: str | None) -> None:
        """Record one history line. Raises RecordingError when the disk refuses."""
        self._history.write(at_ns - self._origin_ns, mark, id, bot, f, key, value)

    def run_ns(self) -> int:
        """Return the present run time."""
        return time.monotonic_ns() - self._origin_ns

    def take_tally(self) -> dict[str, Any]:
        """Return the counts since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally.as_fields()

    def flush(self) -> None:
        """Hand everything to the operating system. Raises RecordingError when the disk refuses."""
        for writer in self._writers.values():
            writer.flush()
        self._history.flush()

    def close(self) -> None:
        """Flush and close the files."""
        for writer in self._writers.values():
            writer.close()
        self._history.close()


def _warm_up() -> None:
    """Write one sample to nowhere: the first one makes pyarrow load half of itself, 40 ms in which no bot would run."""
    writer = SampleWriter(Path("/dev/null"), open_loop=True)
    writer.add(0, 0, 0, Outcome.OK, "", "", "")
    writer.close()


class Tally:
    """Operations of about a second, counted."""

    def __init__(self) -> None:
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._latencies_ms: list[float] = []

    def add(self, outcome: Outcome, latency_ms: float | None) -> None:
        """Count one operation."""
        self._outcomes[outcome] += 1
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def as_fields(self) -> dict[str, Any]:
        """Return operations, ok, fail, info, and latency percentiles from the intended time (None without any)."""
        return {
            "operations": sum(self._outcomes.values()),
            **{outcome.name.lower(): count for outcome, count in self._outcomes.items()},
            "p50_ms": percentile(self._latencies_ms, 50),
            "p99_ms": percentile(self._latencies_ms, 99),
        }


def percentile(values: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, None of nothing."""
    if not values:
        return None
    rank = -(-len(values) * percent // 100)
    return round(sorted(values)[max(0, int(rank) - 1)], 3)
