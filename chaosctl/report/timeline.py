"""What a run looked like over time, as small arrays: every operation is binned before anything is drawn.

Times are seconds since the run's start. A bin holds the operations that were *intended* in it, so that a stalled
target shows as latency and errors where they were due, and not as silence (coordinated omission).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from chaosctl.plan.model import Plan
from chaosctl.recording.model import Event, Int64, Outcome, Samples
from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Verdict

Floats = npt.NDArray[np.float64]

NS_PER_S = 1_000_000_000
MAX_BINS = 300
WIDTHS_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600)
PERCENTILES = (0.50, 0.95, 0.99)
TOP_ERRORS = 5
PROBES = (("probe-relay", "through the relay"), ("probe-direct", "beside the relay"))


@dataclass(frozen=True)
class Bins:
    """Equal stretches of time: their left edges, in seconds, and their width."""

    left_s: Floats
    width_s: float

    def __len__(self) -> int:
        """Return the number of bins."""
        return len(self.left_s)

    @property
    def end_s(self) -> float:
        """Where the last bin ends."""
        return float(self.left_s[-1] + self.width_s)

    def edges_ns(self) -> Int64:
        """Return all edges in run ns, one more than there are bins."""
        edges_s = np.append(self.left_s, self.end_s)
        edges_ns: Int64 = np.rint(edges_s * NS_PER_S).astype(np.int64)
        return edges_ns


@dataclass(frozen=True)
class Load:
    """The operations: rates a second by outcome, latency percentiles in ms (NaN where none), the commonest errors."""

    rates: dict[str, Floats]
    latency_ms: dict[str, Floats]
    errors: dict[str, Floats]


@dataclass(frozen=True)
class Route:
    """The probe on one route: median and worst latency in ms (NaN where none), and the share that failed (0..1)."""

    name: str
    median_ms: Floats
    worst_ms: Floats
    failed_share: Floats


@dataclass(frozen=True)
class Down:
    """A replica was gone: from its exit until it was ready again, or None if it never was."""

    replica: str
    from_s: float
    to_s: float | None
    how: str


@dataclass(frozen=True)
class Phase:
    """A stretch of the run."""

    name: str
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Band:
    """A fault in effect: from its inject to its heal, or to the end where it never was healed; a moment
    that nothing came back from has no length.

    `name` is the fault's id, `text` says it in full.
    """

    name: str
    text: str
    from_s: float
    to_s: float


@dataclass(frozen=True)
class Generator:
    """How late the generator was, at worst over its workers (ms, NaN where it did not say)."""

    lag_ms: Floats


@dataclass(frozen=True)
class Timeline:
    """Everything that is drawn over time. `bins` is None when the load never began."""

    bins: Bins | None
    load: Load | None
    routes: tuple[Route, ...]
    generator: Generator | None
    downs: tuple[Down, ...]
    phases: tuple[Phase, ...]


def timeline_of(recording: Recording) -> Timeline:
    """Bin the whole recording. Sources that are missing or empty are left out."""
    swarm = recording.samples("swarm")
    window = _window(recording.events, swarm)
    if window is None:
        return Timeline(None, None, (), None, (), ())
    bins = _bins(*window)
    routes = ((name, recording.samples(source)) for source, name in PROBES)
    return Timeline(
        bins=bins,
        load=bin_load(swarm, bins) if len(swarm) else None,
        routes=tuple(bin_route(name, samples, bins) for name, samples in routes if len(samples)),
        generator=_generator(recording.events, bins),
        downs=tuple(_downs(recording.events, bins)),
        phases=tuple(_phases(recording.events, bins)),
    )


def bands_of(verdict: Verdict, plan: Plan, bins: Bins) -> tuple[Band, ...]:
    """Return the bands of the faults that were applied; `plan` says which of them happen at one moment."""
    moments = {fault.id for fault in plan.faults if fault.heal_ns is None}
    return tuple(_bands(verdict, moments, bins))


def _bands(verdict: Verdict, moments: Collection[str], bins: Bins) -> Iterator[Band]:
    for fault in verdict.faults:
        name, applied_ns, healed_ns = str(fault.get("id")), _number(fault.get("applied_ns")), fault.get("healed_ns")
        if applied_ns is None:
            continue
        from_s, to_s = applied_ns / NS_PER_S, bins.end_s
        if (healed := _number(healed_ns)) is not None:
            to_s = healed / NS_PER_S
        elif name in moments:
            to_s = from_s
        yield Band(name, f"{name} on {fault.get('on')}", from_s, max(from_s, to_s))


def _window(events: Sequence[Event], swarm: Samples) -> tuple[int, int] | None:
    """Return when the load began and ended (run ns); an interrupted run ends with the last thing that it recorded."""
    start = next((event.at_ns for event in events if event.event == "load_started"), None)
    end = next((event.at_ns for event in events if event.event == "load_ended"), None)
    if start is None:
        if not len(swarm):
            return None
        start = int(swarm.intended_ns[0])
    if end is None:
        last_seen = [event.at_ns for event in events[-1:]] + swarm.intended_ns[-1:].tolist()
        end = max(last_seen, default=start)
    return start, max(end, start + NS_PER_S)


def _bins(start_ns: int, end_ns: int) -> Bins:
    """Return whole bins only: a rate over a piece of one would look like a fall, or hold what came after the load."""
    length_s = (end_ns - start_ns) / NS_PER_S
    width_s = next((width for width in WIDTHS_S if length_s / width <= MAX_BINS), length_s / MAX_BINS)
    count = max(int(length_s / width_s), 1)
    return Bins(start_ns / NS_PER_S + np.arange(count, dtype=np.float64) * width_s, float(width_s))


def bin_load(samples: Samples, bins: Bins) -> Load:
    """Return rates, percentiles and errors of the operations intended in each bin."""
    cuts = np.searchsorted(samples.intended_ns, bins.edges_ns())
    inside = slice(int(cuts[0]), int(cuts[-1]))
    place = np.repeat(np.arange(len(bins)), np.diff(cuts))
    outcome = samples.outcome[inside]
    rates = {
        word.name.lower(): np.bincount(place[outcome == word], minlength=len(bins)) / bins.width_s for word in Outcome
    }
    percentiles = _percentiles(samples, cuts)
    return Load(
        rates=rates,
        latency_ms={f"p{round(share * 100)}": percentiles[:, column] for column, share in enumerate(PERCENTILES)},
        errors=_errors(samples, inside, place, bins),
    )


def _percentiles(samples: Samples, cuts: Int64) -> Floats:
    """Return a row a bin, a column a percentile: ms from the intended start, of the operations that took effect."""
    rows = np.full((len(cuts) - 1, len(PERCENTILES)), np.nan)
    for row, (begin, end) in enumerate(pairwise(cuts)):
        part = slice(int(begin), int(end))
        answered = (samples.outcome[part] == Outcome.OK) & (samples.end_ns[part] >= 0)
        taken_ns = (samples.end_ns[part] - samples.intended_ns[part])[answered]
        if len(taken_ns):
            rows[row] = np.quantile(taken_ns, PERCENTILES, method="higher") / 1e6
    return rows


def _errors(samples: Samples, inside: slice, place: Int64, bins: Bins) -> dict[str, Floats]:
    bad = samples.outcome[inside] != Outcome.OK
    codes, places = samples.error[inside][bad], place[bad]
    totals = np.bincount(codes, minlength=len(samples.errors))
    top = [int(code) for code in np.argsort(-totals, kind="stable")[:TOP_ERRORS] if totals[code]]
    rates = {
        samples.errors[code] or "no reason given": np.bincount(places[codes == code], minlength=len(bins))
        / bins.width_s
        for code in top
    }
    rest = ~np.isin(codes, top)
    if rest.any():
        rates["other errors"] = np.bincount(places[rest], minlength=len(bins)) / bins.width_s
    return rates


def bin_route(name: str, samples: Samples, bins: Bins) -> Route:
    """Return what the probe saw on one route, bin by bin."""
    median, worst, failed = (np.full(len(bins), np.nan) for _ in range(3))
    cuts = np.searchsorted(samples.intended_ns, bins.edges_ns())
    for row, (begin, end) in enumerate(pairwise(cuts)):
        part = slice(int(begin), int(end))
        good = (samples.outcome[part] == Outcome.OK) & (samples.end_ns[part] >= 0)
        if not len(good):
            continue
        failed[row] = 1 - good.mean()
        taken_ms = (samples.end_ns[part] - samples.intended_ns[part])[good] / 1e6
        if len(taken_ms):
            median[row], worst[row] = np.median(taken_ms), taken_ms.max()
    return Route(name, median, worst, failed)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _generator(events: Sequence[Event], bins: Bins) -> Generator | None:
    lag_ms = np.full(len(bins), np.nan)
    first_ns = bins.edges_ns()[0]
    for event in events:
        lag = _number(event.fields.get("lag_ms_p99")) if event.event == "generator" else None
        place = int((event.at_ns - first_ns) / NS_PER_S // bins.width_s)
        if lag is not None and 0 <= place < len(bins):
            lag_ms[place] = np.fmax(lag_ms[place], lag)
    return None if np.isnan(lag_ms).all() else Generator(_held(lag_ms))


def _held(values: Floats) -> Floats:
    """Fill a bin without a value from the one before: reports come once a second, bins may be narrower."""
    filled = values.copy()
    for place in range(1, len(filled)):
        if np.isnan(filled[place]):
            filled[place] = values[place - 1]
    return filled


def _downs(events: Sequence[Event], bins: Bins) -> Iterator[Down]:
    """Yield every stretch of the load in which a replica was gone."""
    end_ns = bins.edges_ns()[-1]
    gone: dict[str, Event] = {}
    for event in events:
        replica = f"{event.fields.get('service')}[{event.fields.get('replica')}]"
        if event.event == "service_exited" and event.at_ns < end_ns:
            gone[replica] = event
        elif event.event == "service_ready" and replica in gone:
            left = gone.pop(replica)
            yield Down(replica, left.at_ns / NS_PER_S, event.at_ns / NS_PER_S, _how(left))
    for replica, left in gone.items():
        yield Down(replica, left.at_ns / NS_PER_S, None, _how(left))


def _how(exited: Event) -> str:
    signal, code = exited.fields.get("signal"), exited.fields.get("code")
    return f"ended by {signal}" if signal else f"exited with {code}"


def _phases(events: Sequence[Event], bins: Bins) -> Iterator[Phase]:
    marks = [event for event in events if event.event == "phase"]
    first_s, end_s = float(bins.left_s[0]), bins.end_s
    until = [min(mark.at_ns / NS_PER_S, end_s) for mark in marks[1:]] + [end_s]
    for mark, until_s in zip(marks, until, strict=False):
        from_s = max(mark.at_ns / NS_PER_S, first_s)
        if until_s - from_s > bins.width_s / 2:
            yield Phase(str(mark.fields.get("name", "")), from_s, until_s)
