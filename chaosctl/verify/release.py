"""The `release` objective: a bad version that was deployed is taken back soon, with little harm, and leaves nothing
that the good version cannot read.

Each `deploy` is judged with what rolls it back: the end of its `for:`, or the next `rollback` on its service.

- serves_again: from the call of the rollback to the first of 20 consecutive good probes from when every replica is the
  good version, and ready. Not seen before the next fault or the end of the load: censored, `> T`. ± the probe interval
  and the clock's error.
- failed: of the operations that were meant between the call of the deploy and the moment when the good version served
  again, the share that failed or stayed without an answer.
- answered_by_bad: of those that took effect, the share that the bad version answered. Bots that journal which version
  answers them decide; where none does, it is what follows from which version was ready at that time, and while both
  were it could be either: inconclusive where that matters.
- unreadable: how often the good version ended of itself after the rollback, and replicas of it that never were ready,
  and what was acknowledged while the bad version was ready and is missing from the last read of its set. Only reads
  that were asked for when the bad version was gone count: what it can read itself says nothing about the good one.

The ± of a share is the 95 % Wilson score interval's half-width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.places import parse_on
from chaosctl.experiment.units import DurationNs, Share, format_duration
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most, wilson_half_width

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.release import Portion, Release

_SHOWN = 10
# As long as services have to be ready, unless they say otherwise (experiment.model.Ready).
_READY_WITHIN_NS = 10_000_000_000
_RANK = {Status.FAIL: 2, Status.INCONCLUSIVE: 1, Status.PASS: 0}
_NOTHING = "no deploy of the timeline is rolled back, so there is nothing to judge"


class ReleaseParams(Params):
    """Limits. What has none is shown and not judged."""

    serves_again_ns: DurationNs | None = Field(
        None, alias="serves_again", description="After the rollback, the good version serves again within this time"
    )
    failed: Share | None = Field(None, description="At most this share of operations fails until then")
    answered_by_bad: Share | None = Field(
        None, description="At most this share of what took effect was answered by the bad version"
    )
    unreadable: int | None = Field(
        0, ge=0, description="Failed starts of the good version, and acknowledged operations that it does not know"
    )
    consecutive: int = Field(20, ge=1, le=10_000, description="So many good probes in a row count as serving")


@dataclass(frozen=True)
class _Judged:
    """One release judged against one limit. `troubled`: its good version ended of itself after the rollback."""

    release: str
    status: Status
    measured: Quantity
    uncertainty: float
    why: str
    evidence: tuple[Evidence, ...] = ()
    troubled: bool = False


class ReleaseChecker:
    """Each finding is the worst over the releases that were rolled back."""

    kind = ObjectiveKind(
        name="release",
        params=ReleaseParams,
        summary="What a bad version does that is deployed and rolled back: for how long, to whom, and what it leaves.",
        example="release: { serves_again: 5s, failed: 1%, unreadable: 0 }",
        needs=frozenset({"probe", "deploy"}),
    )

    def check(self, recording: Recording, params: ReleaseParams) -> Checked:
        """Return a finding a limit, and the table `releases` with a `ReleaseRow` a release."""
        from chaosctl.verify.measure.release import releases

        found = releases(recording, params.consecutive)
        limits: list[tuple[str, str, float | None, Callable[[Release, float], _Judged]]] = [
            ("serves_again", "ns", params.serves_again_ns, _serves_again),
            ("failed", "share", params.failed, _failed),
            ("answered_by_bad", "share", params.answered_by_bad, _answered_by_bad),
            ("unreadable", "count", params.unreadable, _unreadable),
        ]
        findings = [
            _finding(name, Quantity(limit, unit), [_judge(one, unit, judge, limit) for one in found])
            for name, unit, limit, judge in limits
            if limit is not None
        ]
        return Checked(tuple(findings), {"releases": tuple(asdict(one.row) for one in found if one.row)})


def _judge(release: Release, unit: str, judge: Callable[[Release, float], _Judged], limit: float) -> _Judged:
    if release.doubt is not None:
        return _Judged(release.name, Status.INCONCLUSIVE, Quantity(None, unit), 0.0, release.doubt)
    return replace(judge(release, limit), troubled=bool(release.ends))


def _finding(name: str, limit: Quantity, judged: list[_Judged]) -> Finding:
    nothing = _Judged("", Status.INCONCLUSIVE, Quantity(None, limit.unit), 0.0, _NOTHING)
    # One release that cannot come back may hold up the next; that one's troubles are its own.
    worst = max(judged, key=lambda one: (_RANK[one.status], one.troubled, one.measured.value or 0.0), default=nothing)
    details = [evidence for one in judged for evidence in one.evidence]
    # What the reason says comes last: it has been read by then.
    facts = [
        Evidence("events.jsonl", one.release, one.why.removeprefix(f"{one.release}: "))
        for one in sorted(judged, key=lambda one: one is worst)
    ]
    return Finding(
        name=f"release.{name}",
        checker="release",
        status=worst.status,
        op="<=",
        expected=limit,
        measured=worst.measured,
        uncertainty=worst.uncertainty,
        why=worst.why,
        evidence=(*details, *facts),
    )


def _serves_again(release: Release, limit_ns: float) -> _Judged:
    took = release.serves
    assert took is not None
    # Where the end is missing, so may be the word that the good version was ready.
    known = release.whole or took.seen_ns is not None
    status = at_most(took.least_ns, took.seen_ns, limit_ns) if known else Status.INCONCLUSIVE
    time = format_duration(took.seen_or_least_ns)
    if took.seen_ns is None:
        why = f"{release.name}: the good version did not serve again before the window ended, so more than {time}"
        why += f"; it {_ways(release)}{_both(release)}"
    else:
        why = f"{release.name}: the good version served again {time} after the rollback{_both(release)}"
    measured = Quantity(took.seen_or_least_ns, "ns", censored=took.seen_ns is None)
    return _Judged(release.name, status, measured, float(release.uncertainty_ns), why, tuple(_ends(release)))


def _both(release: Release) -> str:
    both_ns = release.row.both_for_ns if release.row else 0
    return f"; both versions answered at once for {format_duration(both_ns)}" if both_ns else ""


def _failed(release: Release, limit: float) -> _Judged:
    portion = release.failed
    assert portion is not None and release.serves is not None
    why = f"{release.name}: {portion.least} of {portion.n} operations failed or had no answer, from the deploy until "
    over = release.serves.seen_ns is not None
    why += "the good version served again" if over else "the window ended, and the good version did not serve again"
    judged = _share(release, portion, limit, why)
    if over or judged.status is not Status.PASS:
        return judged
    return replace(judged, status=Status.INCONCLUSIVE)


def _answered_by_bad(release: Release, limit: float) -> _Judged:
    portion = release.answered
    assert portion is not None
    how = "as the bots were told" if release.told else "going by which version was ready"
    why = f"{release.name}: the bad version answered {portion.least} of {portion.n} operations that took effect, {how}"
    if portion.most > portion.least:
        why += f"; of {portion.most - portion.least} nobody can tell"
    return _share(release, portion, limit, why)


def _share(release: Release, portion: Portion, limit: float, why: str) -> _Judged:
    if portion.n == 0:
        why = f"{release.name}: there was no such operation between the deploy and the end of the rollback"
        return _Judged(release.name, Status.INCONCLUSIVE, Quantity(None, "share"), 0.0, why)
    least, most = portion.least / portion.n, portion.most / portion.n
    status = at_most(least, most, limit) if release.whole else Status.INCONCLUSIVE
    measured = Quantity(least, "share", censored=most > least)
    return _Judged(release.name, status, measured, wilson_half_width(portion.least, portion.n), why)


def _unreadable(release: Release, limit: float) -> _Judged:
    count = len(release.ends) + len(release.unready) + release.lost_count
    bad_served = release.row is not None and release.row.bad_for_ns > 0
    blind = bad_served and not release.wrote
    why = f"{release.name}: after the rollback the good version {_ways(release)}"
    if blind:
        why += "; no bot added anything that could be read back, so nobody knows what else the bad one left"
    else:
        why += f"; of what was acknowledged under the bad one {release.lost_count} are missing"
    if release.unseen:
        why += f", and {release.unseen} were never read back, so nobody knows"
    if len(release.ends) + release.lost_count > limit or (count > limit and _had_its_time(release)):
        status = Status.FAIL
    else:
        status = Status.INCONCLUSIVE if release.unseen or release.unready or blind else Status.PASS
    evidence = (*_ends(release), *_lost(release))
    return _Judged(release.name, status, Quantity(count, "count"), 0.0, why, evidence)


def _had_its_time(release: Release) -> bool:
    """Whether the window was long enough for a good version to become ready, and would show it."""
    return release.whole and release.serves is not None and release.serves.seen_or_least_ns > _READY_WITHIN_NS


def _ways(release: Release) -> str:
    count, unready = len(release.ends), len(release.unready)
    ended = f"ended of itself {'once' if count == 1 else f'{count} times'}" if count else "did not end of itself"
    if unready:
        ended += f" and was never ready on {unready} replica{'s' * (unready > 1)}"
    said = release.ends[-1].said if release.ends else ()
    return f"{ended} (its last words: {' | '.join(said)})" if said else ended


def _ends(release: Release) -> list[Evidence]:
    service = parse_on(release.row.on).name if release.row else ""
    return [
        Evidence(
            "events.jsonl",
            f"line {life.line}",
            f"{service}[{life.replica}], the good version, ended with {life.how} at {format_duration(life.end_ns)}"
            + (f": {' | '.join(life.said)}" if life.said else ""),
        )
        for life in release.ends[:_SHOWN]
    ]


def _lost(release: Release) -> list[Evidence]:
    return [
        Evidence(
            "history.jsonl",
            f"id {one.id}",
            f"{one.bot} added {one.element} to {one.key} under the bad version, acknowledged at "
            f"{format_duration(one.acked_ns)}; the read {one.read_id} lacks it",
        )
        for one in release.lost[:_SHOWN]
    ]


CHECKER = ReleaseChecker()
