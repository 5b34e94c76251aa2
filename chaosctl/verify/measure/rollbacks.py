"""What each fault rolled back: the events that were in flight, what had been acknowledged, and when it was over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chaosctl.recording.facts import FaultFacts, fault_facts, load_window
from chaosctl.recording.model import History
from chaosctl.verify.contract import RollbackRow
from chaosctl.verify.measure.aftermath import Took
from chaosctl.verify.measure.depth import Depth, Depths, depths
from chaosctl.verify.measure.flights import NEVER_NS, Fate, Flights, Told, events_of, follow, told

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.rollback import RollbackParams

SHOWN = 10
WRONG = (Fate.BOTH, Fate.HALF_APPLIED, Fate.NEITHER, Fate.LATE)
_UNLIMITED_NS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Case:
    """An event whose end is wrong or was not seen, and what its parts were told."""

    event: str
    fate: Fate
    fault: str
    called_ns: int
    told: tuple[Told, ...]


@dataclass(frozen=True)
class Rollback:
    """One fault that was injected: how many events in flight came to which end, what is gone, and its times.

    `observed` is None where nothing is gone; `settled` where nothing was in flight and nothing had been acknowledged.
    """

    fault: FaultFacts
    in_flight: int
    fates: Mapping[Fate, int]
    depth: Depth
    age_ns: int
    observed: Took | None
    settled: Took | None
    row: RollbackRow


@dataclass(frozen=True)
class Rollbacks:
    """Every injected fault in the order of the calls.

    `wrong` events came to an end that is none, `unseen` went out of sight; `cases` are the first of either. `torn`: the
    recording breaks off, so what came later may be missing.
    """

    faults: tuple[Rollback, ...]
    wrong: int
    unseen: int
    cases: tuple[Case, ...]
    sets: Depths
    torn: bool


def rollbacks(recording: Recording, params: RollbackParams) -> Rollbacks:
    """Measure every injected fault. Raises ValueError for values outside the vocabulary of the history."""
    history = recording.history()
    facts = [fault for fault in fault_facts(recording) if fault.called_ns is not None]
    facts.sort(key=lambda fault: fault.called_ns or 0)
    calls = np.array([fault.called_ns for fault in facts], np.int64)
    torn = bool(recording.incomplete) or not recording.events_named("run_ended")
    within_ns = _UNLIMITED_NS if params.resume_within_ns is None else params.resume_within_ns
    flights = follow(events_of(history), calls, within_ns, torn)
    deep = depths(history, calls.tolist(), list(map(_over_ns, facts)), SHOWN)
    each = zip(facts, [*calls[1:].tolist(), NEVER_NS], deep.faults, strict=False)
    measured = [_rollback(recording, fault, next_ns, flights, depth) for fault, next_ns, depth in each]
    judged = flights.fate[flights.judged >= 0]
    wrong, unseen = int(np.isin(judged, WRONG).sum()), int((judged == Fate.NOT_SEEN).sum())
    return Rollbacks(tuple(measured), wrong, unseen, _cases(recording, facts, flights), deep, torn)


def _rollback(recording: Recording, fault: FaultFacts, next_ns: int, flights: Flights, depth: Depth) -> Rollback:
    called_ns = fault.called_ns or 0
    clock_ns = recording.clock_error_ns
    there = flights.in_flight(called_ns)
    counted = np.bincount(flights.fate[there], minlength=len(Fate)).tolist()
    fates = {fate: counted[fate] for fate in Fate}
    end_ns = _seen_until_ns(recording)
    observed = None
    if depth.observed is not None:
        observed = _took(depth.observed.at_ns, depth.observed.gap_ns, called_ns)
    settled = _settled(recording.history(), flights, depth, (called_ns, next_ns, end_ns))
    over, over_ns = settled.took, None
    if over is not None and over.seen_ns is not None:
        over_ns = called_ns + over.seen_ns
    row = RollbackRow(
        fault=fault.id,
        kind=fault.kind,
        on=fault.on,
        called_ns=called_ns,
        censored_ns=end_ns if over is None or over_ns is not None else called_ns + over.least_ns,
        in_flight=int(there.sum()),
        resumed=fates[Fate.RESUMED],
        rolled_back=fates[Fate.ROLLED_BACK],
        both=fates[Fate.BOTH],
        half_applied=fates[Fate.HALF_APPLIED],
        neither=fates[Fate.NEITHER],
        late=fates[Fate.LATE],
        not_seen=fates[Fate.NOT_SEEN],
        acknowledged=depth.acknowledged,
        gone=depth.gone,
        unseen=depth.unseen,
        oldest_acked_ns=depth.oldest_ns,
        observed_ns=depth.observed.at_ns if depth.observed else None,
        observed_id=depth.observed.id if depth.observed else None,
        observed_uncertainty_ns=depth.observed.gap_ns + clock_ns if depth.observed else clock_ns,
        settled_ns=over_ns,
        settled_id=settled.id,
        settled_uncertainty_ns=settled.gap_ns + clock_ns,
        never_settled=over is not None and over_ns is None,
        uncertainty_ns=clock_ns,
    )
    age_ns = 0 if depth.oldest_ns is None else called_ns - depth.oldest_ns
    return Rollback(fault, int(there.sum()), fates, depth, age_ns, observed, over, row)


def _over_ns(fault: FaultFacts) -> int:
    """Return when a fault was over, as far as it was: healed if it lasts, otherwise applied."""
    return max(fault.called_ns or 0, fault.returned_ns or 0, (fault.lasting and fault.healed_ns) or 0)


def _took(at_ns: int, gap_ns: int, called_ns: int) -> Took:
    return Took(max(0, at_ns - gap_ns - called_ns), at_ns - called_ns)


@dataclass(frozen=True)
class _Settled:
    """How long the state went on changing, how long before that nobody had looked, and the line that shows it."""

    took: Took | None
    gap_ns: int = 0
    id: int | None = None


def _settled(history: History, flights: Flights, depth: Depth, times_ns: tuple[int, int, int]) -> _Settled:
    """Return the later of the last end of an event in flight, and the first read after which nothing more was missed.

    `times_ns`: when the fault and the next one were called, and until when anything was seen. What ended only after the
    next fault is known to have been open until then. It is not known at all where an event never ended, or an
    acknowledged element was never looked for.
    """
    called_ns, next_ns, end_ns = times_ns
    there = flights.in_flight(called_ns)
    endless = there & np.isin(flights.fate, (Fate.NEITHER, Fate.NOT_SEEN))
    if endless.any():
        # The target still spoke of it as open, or, after it had lost it, nobody was told an end up to the end.
        open_ns = np.where(flights.fate == Fate.NEITHER, end_ns, flights.events.open_ns)[endless]
        return _Settled(Took(max(0, min(int(open_ns.max()), next_ns) - called_ns), None))
    least_ns, found = 0, _Settled(Took(0, 0))
    if depth.settled is not None:
        took = _took(depth.settled.at_ns, depth.settled.gap_ns, called_ns)
        least_ns, found = took.least_ns, _Settled(took, depth.settled.gap_ns, depth.settled.id)
    if there.any():
        last = int(np.flatnonzero(there)[np.argmax(flights.over_ns[there])])
        over_ns = int(flights.over_ns[last])
        if found.took is None or over_ns - called_ns >= found.took.seen_or_least_ns:
            found = _last_end(history, flights, last, called_ns)
        least_ns = max(least_ns, min(over_ns, next_ns) - called_ns)
    elif not depth.acknowledged and not depth.gone:
        return _Settled(None)
    if depth.unseen:
        return _Settled(Took(least_ns, None))
    return replace(found, took=Took(least_ns, found.took.seen_ns if found.took else None))


def _last_end(history: History, flights: Flights, last: int, called_ns: int) -> _Settled:
    """Return when the last event was over, ± how far apart those who take part in it were told."""
    events, over_ns = flights.events, int(flights.over_ns[last])
    apart_ns = max(0, int(events.last_end_ns[last] - events.first_end_ns[last]))
    line = next(one.id for one in told(history, int(events.key[last])) if one.at_ns == over_ns)
    return _Settled(Took(over_ns - called_ns, over_ns - called_ns), apart_ns, line)


def _seen_until_ns(recording: Recording) -> int:
    """Return when the last thing about the target was seen: in the load, or in the audit after it."""
    load = load_window(recording)
    last_ns = int(recording.history().at_ns.max(initial=0))
    return max(last_ns, load[1]) if load else last_ns


def _cases(recording: Recording, facts: list[FaultFacts], flights: Flights) -> tuple[Case, ...]:
    history = recording.history()
    found = []
    for fates in (WRONG, (Fate.NOT_SEEN,)):
        marked = np.flatnonzero((flights.judged >= 0) & np.isin(flights.fate, fates))
        for at in marked[np.argsort(flights.events.started_ns[marked], kind="stable")][:SHOWN].tolist():
            key, fault = int(flights.events.key[at]), facts[flights.judged[at]]
            about = told(history, key)
            found.append(Case(history.keys[key], Fate(flights.fate[at]), fault.id, fault.called_ns or 0, about))
    return tuple(found)
