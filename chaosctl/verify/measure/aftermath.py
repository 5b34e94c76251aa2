"""What came after each fault: the measurements that the `recovery` objective judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chaosctl.recording.facts import FaultFacts, Window, fault_facts, load_window
from chaosctl.recording.model import Outcome, Samples
from chaosctl.verify.contract import RecoveryRow
from chaosctl.verify.measure.probing import BAD, GOOD, MISSING, Found, Probes, bursts, scheduled, serviceable
from chaosctl.verify.measure.sessions import SessionCounts, session_counts

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.recovery import RecoveryParams

_LATE_SHARE = 0.01  # at most this share may be over the p99


@dataclass(frozen=True)
class Took:
    """A duration: certainly not less than `least_ns`; `seen_ns` None if the end of it was not seen."""

    least_ns: int
    seen_ns: int | None

    @property
    def seen_or_least_ns(self) -> int:
        """What to show: the duration, or the T of `> T`."""
        return self.least_ns if self.seen_ns is None else self.seen_ns


@dataclass(frozen=True)
class Relapse:
    """Probes failed again after it was serviceable: when the first of them was sent (run ns), and what it met."""

    at_ns: int
    error: str


@dataclass(frozen=True)
class Aftermath:
    """One fault: its row, and the durations that limits apply to, counted from `since` (inject or heal).

    `doubt` says why none of them counts; then they, and perhaps the row, are None. `unprobed`: so many questions after
    it was serviceable have no answer that says anything. `relapses`: when it fell over again.
    """

    fault: str
    doubt: str | None
    since: str = "inject"
    row: RecoveryRow | None = None
    serviceable: Took | None = None
    steady: Took | None = None
    detect: Took | None = None
    unprobed: int = 0
    relapses: tuple[Relapse, ...] = ()
    uncertainty_ns: int = 0


def aftermaths(recording: Recording, params: RecoveryParams) -> tuple[Aftermath, ...]:
    """Measure every planned fault, in the order of the plan."""
    load = load_window(recording)
    every_ns = recording.plan.probe_every_ns
    facts = fault_facts(recording)
    if load is None:
        return tuple(Aftermath(fault.id, f"{fault.id}: there was no load") for fault in facts)
    probes = scheduled(recording.samples("probe-relay"), every_ns, load)
    return tuple(_aftermath(recording, params, fault, facts, probes, load) for fault in facts)


def _aftermath(
    recording: Recording,
    params: RecoveryParams,
    fault: FaultFacts,
    facts: tuple[FaultFacts, ...],
    probes: Probes,
    load: Window,
) -> Aftermath:
    if fault.called_ns is None or fault.returned_ns is None:
        return Aftermath(fault.id, fault.doubt or f"{fault.id} was never injected")
    reference_ns = _reference_ns(fault, facts)
    begun_ns = fault.called_ns if reference_ns is None else reference_ns
    later = [
        one.called_ns for one in facts if one.called_ns is not None and one.called_ns > begun_ns and one is not fault
    ]
    end_ns = min([load[1], *later])
    window = probes.between(fault.called_ns, end_ns).unspoiled(end_ns)
    if (window.state != MISSING).sum() == 0:
        return Aftermath(fault.id, fault.doubt or f"{fault.id}: no probe was recorded after it")
    uncertainty_ns = recording.plan.probe_every_ns + recording.clock_error_ns
    moment = _serviceable(window, params.consecutive, reference_ns if fault.lasting else None)
    steady = _steady(recording, params, window, _time(window, moment.seen, end_ns), begun_ns, end_ns)
    sessions = session_counts(recording.history(), fault.called_ns, end_ns)
    over = _since_over(window, moment, reference_ns if fault.lasting else None)
    relapses = _relapses(over)
    before = probes.between(load[0], fault.called_ns)
    row = _row(fault, window, moment, steady, sessions, before, end_ns, uncertainty_ns, len(relapses))
    doubt = fault.doubt
    if doubt is None and fault.lasting and reference_ns is None:
        doubt = f"{fault.id} was never healed"
    return Aftermath(
        fault=fault.id,
        doubt=doubt,
        since="heal" if fault.lasting else "inject",
        row=row,
        serviceable=_took(window, moment, begun_ns, end_ns),
        steady=Took(max(0, steady[0] - begun_ns), None if steady[1] is None else max(0, steady[1] - begun_ns)),
        detect=_detected(window, fault.called_ns),
        unprobed=int((over.state == MISSING).sum()),
        relapses=relapses,
        uncertainty_ns=uncertainty_ns,
    )


def _reference_ns(fault: FaultFacts, facts: tuple[FaultFacts, ...]) -> int | None:
    """Return what a limit counts from: the inject, or for a lasting fault the last heal among those it overlaps."""
    if not fault.lasting:
        return fault.called_ns
    healed_ns = fault.heal_called_ns
    for other in sorted(facts, key=lambda one: one.called_ns or 0):
        if healed_ns is None or not other.lasting or other.called_ns is None or other.called_ns > healed_ns:
            continue
        if other.heal_called_ns is None:
            return None
        if other.heal_called_ns > (fault.called_ns or 0):
            healed_ns = max(healed_ns, other.heal_called_ns)
    return healed_ns


def _serviceable(window: Probes, consecutive: int, healed_ns: int | None) -> Found:
    """Find it after the first error; of a lasting fault that errors outlasted, after the heal."""
    found = serviceable(window.state, consecutive, after_error=True)
    skip = 0 if healed_ns is None else int(np.searchsorted(window.at_ns, healed_ns))
    if (window.state[:skip] == GOOD).all():
        return found
    healed = serviceable(window.state[skip:], consecutive, after_error=False)
    if found.seen is not None and found.seen <= skip and healed == Found(0, 0):
        return found
    return Found(skip + healed.least, None if healed.seen is None else skip + healed.seen)


def _took(window: Probes, moment: Found, begun_ns: int, end_ns: int) -> Took:
    undisturbed = moment.seen == 0 and window.state[0] == GOOD
    if undisturbed:
        return Took(0, 0)
    least_ns = max(0, (_time(window, moment.least, end_ns) or end_ns) - begun_ns)
    seen_ns = _time(window, moment.seen, end_ns)
    return Took(least_ns, None if seen_ns is None else max(0, seen_ns - begun_ns))


def _time(window: Probes, index: int | None, end_ns: int) -> int | None:
    if index is None:
        return None
    return int(window.at_ns[index]) if index < len(window.at_ns) else end_ns


def _detected(window: Probes, called_ns: int) -> Took:
    wrong = np.flatnonzero(window.state == BAD)
    noticed_ns = int(window.at_ns[wrong[0]]) - called_ns if len(wrong) else 0
    return Took(noticed_ns, noticed_ns)


def _steady(
    recording: Recording, params: RecoveryParams, window: Probes, serviceable_ns: int | None, begun_ns: int, end_ns: int
) -> tuple[int, int | None]:
    """Return (not before, seen at) of the first stretch of `hold_ns` in which all that is declared holds."""
    if serviceable_ns is None:
        return max(begun_ns, end_ns - params.hold_ns), None
    step_ns = recording.plan.probe_every_ns
    from_ns = max(begun_ns, serviceable_ns)
    starts = np.arange(from_ns, max(end_ns - params.hold_ns, from_ns) + 1, step_ns, dtype=np.int64)
    starts = starts[starts + params.hold_ns <= end_ns]
    if len(starts) == 0:
        return from_ns, None
    holds = _holds(recording, params, window, starts)
    open_ones = np.flatnonzero(holds != BAD)
    good = np.flatnonzero(holds == GOOD)
    least_ns = int(starts[open_ones[0]]) if len(open_ones) else int(starts[-1])
    return least_ns, int(starts[good[0]]) if len(good) else None


def _holds(
    recording: Recording, params: RecoveryParams, window: Probes, starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int8]:
    """Judge each stretch [start, start + hold): GOOD, BAD, or MISSING where nothing was seen."""
    ends = starts + params.hold_ns
    if params.p99_ns is None and params.errors is None:
        bad = _count(window.at_ns, window.state == BAD, starts, ends)
        missing = _count(window.at_ns, window.state == MISSING, starts, ends)
        return np.where(bad > 0, BAD, np.where(missing > 0, MISSING, GOOD)).astype(np.int8)
    swarm = recording.samples("swarm")
    total = _count(swarm.intended_ns, np.ones(len(swarm), np.bool_), starts, ends)
    holds = np.where(total > 0, GOOD, MISSING)
    if params.errors is not None:
        wrong = _count(swarm.intended_ns, swarm.outcome != Outcome.OK, starts, ends)
        holds = np.where(wrong > params.errors * total, BAD, holds)
    if params.p99_ns is not None:
        late = _count(swarm.intended_ns, _late(swarm, params.p99_ns), starts, ends)
        holds = np.where(late > _LATE_SHARE * total, BAD, holds)
    return holds.astype(np.int8)


def _late(swarm: Samples, limit_ns: int) -> npt.NDArray[np.bool_]:
    """Without an answer is late, too: p99 <= limit says exactly that at most 1% are later than the limit."""
    late: npt.NDArray[np.bool_] = (swarm.end_ns < 0) | (swarm.end_ns - swarm.intended_ns > limit_ns)
    return late


def _count(
    at_ns: npt.NDArray[np.int64],
    picked: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(picked, dtype=np.int64)])
    counts: npt.NDArray[np.int64] = total[np.searchsorted(at_ns, ends)] - total[np.searchsorted(at_ns, starts)]
    return counts


def _since_over(window: Probes, moment: Found, healed_ns: int | None) -> Probes:
    """Return the probes from when it was serviceable and a lasting fault healed; none if it never was."""
    if moment.seen is None or moment.seen >= len(window.at_ns):
        return window.between(0, 0)
    return window.between(max(int(window.at_ns[moment.seen]), healed_ns or 0), int(window.at_ns[-1]) + 1)


def _relapses(over: Probes) -> tuple[Relapse, ...]:
    begins = bursts(over.state).tolist()
    return tuple(Relapse(int(over.at_ns[at]), over.errors[over.error[at]]) for at in begins)


def _row(
    fault: FaultFacts,
    window: Probes,
    moment: Found,
    steady: tuple[int, int | None],
    sessions: SessionCounts | None,
    before: Probes,
    end_ns: int,
    uncertainty_ns: int,
    relapses: int,
) -> RecoveryRow:
    wrong = np.flatnonzero(window.state != GOOD)
    first_error = int(wrong[0]) if len(wrong) else None
    good = np.flatnonzero(window.state == GOOD)
    good_before = good[good < first_error] if first_error is not None else good
    earlier = before.at_ns[before.state == GOOD]
    last_good_ns = (
        int(window.at_ns[good_before[-1]]) if len(good_before) else int(earlier[-1]) if len(earlier) else None
    )
    good_after = good[good > first_error] if first_error is not None else good[:0]
    disturbed = first_error is not None
    upto = window.between(int(window.at_ns[0]), _time(window, moment.seen, end_ns) or end_ns)
    return RecoveryRow(
        fault=fault.id,
        kind=fault.kind,
        on=fault.on,
        called_ns=fault.called_ns or 0,
        returned_ns=fault.returned_ns or 0,
        healed_ns=fault.healed_ns,
        censored_ns=end_ns,
        uncertainty_ns=uncertainty_ns,
        last_good_ns=last_good_ns if disturbed else None,
        first_error_ns=int(window.at_ns[first_error]) if first_error is not None else None,
        first_good_ns=int(window.at_ns[good_after[0]]) if len(good_after) else None,
        serviceable_ns=_time(window, moment.seen, end_ns) if disturbed else fault.called_ns,
        steady_ns=steady[1],
        relapses=relapses,
        sessions_kept=sessions.kept if sessions else None,
        sessions_resumed=sessions.resumed if sessions else None,
        sessions_lost=sessions.lost if sessions else None,
        outages=upto.met() if disturbed else {},
    )
