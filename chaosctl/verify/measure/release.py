"""What came of each bad release: the measurements that the `release` objective judges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from chaosctl.experiment.places import parse_on
from chaosctl.recording.facts import FaultFacts, Window, fault_facts, load_window, strikes
from chaosctl.recording.model import History, Int64, Mark, Outcome
from chaosctl.verify.contract import ReleaseRow
from chaosctl.verify.estimate import inside
from chaosctl.verify.measure.aftermath import Took
from chaosctl.verify.measure.answered import Answered, Told, by_what_ran
from chaosctl.verify.measure.lives import Life, common, length_ns, lives_of, union
from chaosctl.verify.measure.probing import MISSING, Probes, scheduled, serviceable
from chaosctl.verify.measure.sets import Adds, Lost, adds_of, lines_of, read_back

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

# Names of both faults, as their kinds have them.
DEPLOY, ROLLBACK = "deploy", "rollback"


@dataclass(frozen=True)
class Portion:
    """So many of `n`: certainly not less than `least`, not more than `most`."""

    least: int
    most: int
    n: int


@dataclass(frozen=True)
class Release:
    """One deploy that is rolled back: what was measured of it. `doubt` says why nothing was; then all else is None.

    `ends` are lives of the good version that ended of themselves after the rollback, `unready` the replicas on which
    it neither ended nor became ready. `wrote`: bots added something while the bad one was there, or the history tells
    of other adds. `unseen` of what was added then was never looked for. `whole`: the recording is not cut short, so
    that shares are what they were.
    """

    name: str
    doubt: str | None
    row: ReleaseRow | None = None
    serves: Took | None = None
    failed: Portion | None = None
    answered: Portion | None = None
    told: bool = False
    ends: tuple[Life, ...] = ()
    unready: tuple[int, ...] = ()
    lost: tuple[Lost, ...] = ()
    lost_count: int = 0
    unseen: int = 0
    wrote: bool = False
    whole: bool = True
    uncertainty_ns: int = 0


@dataclass(frozen=True)
class _Pair:
    """A deploy and what rolls it back, which was called at `called_ns` (None: never)."""

    deploy: FaultFacts
    rollback: str
    called_ns: int | None
    doubt: str | None
    version: str


def releases(recording: Recording, consecutive: int) -> tuple[Release, ...]:
    """Measure every deploy that the plan rolls back, in the order of the plan."""
    load = load_window(recording)
    pairs = list(_pairs(recording))
    if load is None:
        return tuple(Release(pair.deploy.id, f"{pair.deploy.id}: there was no load") for pair in pairs)
    probes = scheduled(recording.samples("probe-relay"), recording.plan.probe_every_ns, load)
    return tuple(_release(recording, pair, probes, load, consecutive) for pair in pairs)


def _pairs(recording: Recording) -> Iterator[_Pair]:
    facts = fault_facts(recording)
    for number, (planned, fault) in enumerate(zip(recording.plan.faults, facts, strict=True)):
        if fault.kind != DEPLOY:
            continue
        version = str(planned.params.get("version", "other"))
        if fault.lasting:
            doubt = fault.doubt or (None if fault.heal_called_ns is not None else f"{fault.id} was never rolled back")
            yield _Pair(fault, f"the end of {fault.id}", fault.heal_called_ns, doubt, version)
            continue
        place = parse_on(fault.on)
        back = next((f for f in facts[number:] if f.kind == ROLLBACK and parse_on(f.on).overlaps(place)), None)
        if back is not None:
            yield _Pair(fault, back.id, back.called_ns, fault.doubt or back.doubt, version)


def _release(recording: Recording, pair: _Pair, probes: Probes, load: Window, consecutive: int) -> Release:
    deployed_ns, back_ns = pair.deploy.called_ns, pair.called_ns
    if pair.doubt is not None or deployed_ns is None or back_ns is None:
        return Release(pair.deploy.id, pair.doubt or f"{pair.deploy.id} was never rolled back")
    on = parse_on(pair.deploy.on)
    lives = lives_of(recording, on.name, on.replicas)
    end_ns = min([load[1], *(strike for strike in strikes(recording) if strike > back_ns)])
    serves = _serves(probes, lives, back_ns, end_ns, consecutive)
    if serves is None:
        return Release(pair.deploy.id, f"{pair.deploy.id}: no probe was recorded after its rollback")
    over_ns = end_ns if serves.seen_ns is None else back_ns + serves.seen_ns
    failed, answered, told = _operations(recording, pair, on.name, (deployed_ns, over_ns))
    written = _written(recording, lives, (deployed_ns, over_ns))
    after = [life for life in lives if life.version is None and back_ns <= life.started_ns < end_ns]
    ends = tuple(life for life in after if life.by_itself and life.end_ns <= end_ns)
    measured = Release(
        name=pair.deploy.id,
        doubt=None,
        serves=serves,
        failed=failed,
        answered=answered,
        told=told,
        ends=ends,
        unready=_unready(lives, ends, (back_ns, end_ns)),
        lost=written.lost,
        lost_count=written.lost_count,
        unseen=written.unseen,
        wrote=written.any_adds,
        whole=not recording.incomplete and bool(recording.events_named("run_ended")),
        uncertainty_ns=recording.plan.probe_every_ns + recording.clock_error_ns,
    )
    return replace(measured, row=_row(pair, measured, lives, end_ns))


def _serves(probes: Probes, lives: Sequence[Life], back_ns: int, end_ns: int, consecutive: int) -> Took | None:
    """Find the first of `consecutive` good probes from when every replica is the good version, and ready."""
    if (probes.between(back_ns, end_ns).state != MISSING).sum() == 0:
        return None
    ready_ns = _all_ready_ns(lives, back_ns, end_ns)
    if ready_ns is None:
        return Took(end_ns - back_ns, None)
    window = probes.between(ready_ns, end_ns).unspoiled(end_ns)
    found = serviceable(window.state, consecutive, after_error=False)

    def since_ns(index: int) -> int:
        return (int(window.at_ns[index]) if index < len(window.at_ns) else end_ns) - back_ns

    return Took(since_ns(found.least), None if found.seen is None else since_ns(found.seen))


def _all_ready_ns(lives: Sequence[Life], back_ns: int, end_ns: int) -> int | None:
    """Return when the last of the replicas had the good version ready, for the last time that it became so."""
    ready: dict[int, int | None] = {}
    for life in lives:
        if life.end_ns > back_ns and life.started_ns < end_ns:
            good = life.version is None and life.ready_ns is not None and life.ready_ns < end_ns
            ready[life.replica] = max(back_ns, life.ready_ns or 0) if good else None
    seen = [ns for ns in ready.values() if ns is not None]
    return max(seen) if seen and len(seen) == len(ready) else None


def _unready(lives: Sequence[Life], ends: Sequence[Life], window: Window) -> tuple[int, ...]:
    """Return the replicas on which the good version neither became ready in the window nor ended of itself."""
    good = {
        life.replica
        for life in lives
        if life.version is None and life.served is not None and life.end_ns > window[0] and life.served[0] < window[1]
    }
    return tuple(sorted({life.replica for life in lives} - good - {life.replica for life in ends}))


def _operations(
    recording: Recording, pair: _Pair, service: str, window: Window
) -> tuple[Portion, Portion | None, bool]:
    """Count what failed, and what the bad version answered (None: nobody can tell), from the deploy until all is well;
    and say whether bots were told versions."""
    samples = recording.samples("swarm")
    picked = inside(samples, (window,), strikes(recording), None, None)
    ok = picked[samples.outcome[picked] == Outcome.OK]
    failed = Portion(len(picked) - len(ok), len(picked) - len(ok), len(picked))
    told = Told(recording.history(), service, _first_deploy_ns(recording, service), pair.version)
    all_lives = lives_of(recording, service, None)
    ran = by_what_ran(all_lives, samples.end_ns[ok])
    answered = told.answered(samples.bots, samples.bot[ok], samples.end_ns[ok]) if told else ran
    if told and ran.surely.any() and not answered.surely.any():
        # While nothing else ran, somebody was answered, and was told nothing of it.
        answered = Answered(answered.surely, ran.maybe)
    return failed, Portion(int(answered.surely.sum()), int(answered.maybe.sum()), len(ok)), bool(told)


def _first_deploy_ns(recording: Recording, service: str) -> int:
    calls = [f.called_ns for f in fault_facts(recording) if f.kind == DEPLOY and parse_on(f.on).name == service]
    return min(ns for ns in calls if ns is not None)


@dataclass(frozen=True)
class _Written:
    """What was added while the bad version was ready, and what became of it, as reads show that were asked for when the
    bad version was gone: what it can read itself says nothing about the good one."""

    lost: tuple[Lost, ...]
    lost_count: int
    unseen: int
    any_adds: bool


def _written(recording: Recording, lives: Sequence[Life], window: Window) -> _Written:
    history = recording.history()
    adds = adds_of(history)
    bad = common(union(life.served for life in lives if life.version is not None and life.served), [window])
    kept = np.zeros(len(adds.id), np.bool_)
    for start_ns, end_ns in bad:
        kept |= (adds.acked_ns >= start_ns) & (adds.acked_ns < end_ns)
    if not kept.any():
        return _Written((), 0, 0, len(adds.id) > 0)
    gone_ns = max(life.end_ns for life in lives if life.version is not None and life.started_ns < window[1])
    sets = read_back(_only(history, adds, adds.id[kept], gone_ns))
    return _Written(tuple(sets.lost), sets.lost_count, sets.unseen, len(adds.id) > 0)


def _only(history: History, adds: Adds, ids: Int64, read_from_ns: int) -> History:
    """Return the history without the adds that are not `ids`, and without the reads asked for before a moment."""
    asked = lines_of(history, "read", Mark.INVOKE)
    early = history.id[asked[history.at_ns[asked] < read_from_ns]]
    kept = ~np.isin(history.id, np.concatenate([np.setdiff1d(adds.id, ids), early]))
    columns = {name: getattr(history, name)[kept] for name in ("at_ns", "mark", "id", "f", "key", "bot")}
    return replace(history, **columns, value=history.value.filter(pa.array(kept)))


def _row(pair: _Pair, of: Release, lives: Sequence[Life], end_ns: int) -> ReleaseRow:
    assert pair.deploy.called_ns is not None and pair.called_ns is not None and of.serves is not None
    span = [(pair.deploy.called_ns, end_ns)]
    bad = common(union(life.served for life in lives if life.version is not None and life.served), span)
    good = union(life.served for life in lives if life.version is None and life.served)
    return ReleaseRow(
        deploy=pair.deploy.id,
        rollback=pair.rollback,
        on=pair.deploy.on,
        version=pair.version,
        deployed_ns=pair.deploy.called_ns,
        rolled_back_ns=pair.called_ns,
        censored_ns=end_ns,
        bad_for_ns=length_ns(bad),
        both_for_ns=length_ns(common(bad, good)),
        served_again_ns=None if of.serves.seen_ns is None else pair.called_ns + of.serves.seen_ns,
        uncertainty_ns=of.uncertainty_ns,
        operations=of.failed.n if of.failed else 0,
        failed=of.failed.least if of.failed else 0,
        answered_by_bad=of.answered.least if of.answered and of.answered.least == of.answered.most else None,
        good_exits=len(of.ends),
        good_unready=len(of.unready),
        lost=of.lost_count,
    )
