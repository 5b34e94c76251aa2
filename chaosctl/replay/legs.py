"""Factors that take two processes: a snapshot and a copy that begins at it, a kill and a start with what was kept.

Here the target's own ticks are the canary: the second process begins later than at the first tick, and nothing but
the snapshot or the kept state can have brought it there.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chaosctl.experiment.model import Replay
from chaosctl.recording.factors import Factor
from chaosctl.replay.canary import Sighting
from chaosctl.replay.perturb import NotHereError
from chaosctl.replay.run import Leg, ReplayRun

TWO_LEGS = (Factor.SNAPSHOT, Factor.RESTART)


def cut_of(ticks: Sequence[int]) -> int:
    """Return the tick at which a replay of these ticks (ascending) is cut in two. Raises NotHereError."""
    if len(ticks) < 3:
        raise NotHereError(f"a replay of {len(ticks)} ticks cannot be cut in two")
    return ticks[len(ticks) // 2]


def legs_of(factor: Factor, replay: Replay, tick: int, kept: Path) -> tuple[Leg, Leg]:
    """Return the two processes of one of `TWO_LEGS`, cut at `tick`; what goes from one to the other is in `kept`.

    Raises NotHereError where the service does not offer it.
    """
    if factor is Factor.RESTART:
        if replay.keep is None:
            raise NotHereError("the service offers no `keep` in its replay, that it could be killed and go on")
        state = kept / "state"
        return Leg(replay.keep, state=state, kill_at=tick), Leg(replay.keep, state=state, later=True)
    if replay.snapshot is None:
        raise NotHereError("the service offers no `snapshot` in its replay")
    values = {"snapshot": str(_snapshot(kept)), "tick": str(tick)}
    return Leg(replay.snapshot.write, values), Leg(replay.snapshot.begin, values, later=True)


def once_more(leg: Leg, to: Path) -> Leg | None:
    """Return the process that begins where `leg`, not yet started, begins, with a copy of its state at `to`.

    None where the state cannot be copied.
    """
    if leg.state is None:
        return leg
    try:
        if leg.state.exists():
            shutil.copytree(leg.state, to, symlinks=True)
    except OSError:
        return None
    return replace(leg, state=to)


def sighting_of(factor: Factor, tick: int, ticks: Sequence[int], runs: Sequence[ReplayRun], kept: Path) -> Sighting:
    """Return what the runs of both legs, cut at `tick`, show of the factor; a fresh copy prints `ticks`."""
    first, *rest = runs
    if first.error is not None:
        return Sighting(factor, False, f"{first.name}: {first.error}")
    if first.until_tick == ticks[-1]:
        return Sighting(factor, False, f"{first.name}: it had printed all before it could be killed at tick {tick}")
    snapshot = factor is Factor.SNAPSHOT
    if snapshot and not _snapshot(kept).exists():
        return Sighting(factor, False, f"no snapshot of tick {tick} was written")
    (second,) = rest
    began = second.from_tick
    if began is None:
        return Sighting(factor, False, f"{second.name}: {second.error}")
    given = f"the snapshot of tick {tick}" if snapshot else "the state that was kept"
    if began <= ticks[0] or (snapshot and began not in (tick, tick + 1)):
        return Sighting(factor, False, f"a copy that was given {given} began at tick {began} nevertheless")
    how = f"a copy that was given {given} began at tick {began}, a fresh one begins at tick {ticks[0]}"
    if not snapshot:
        how = f"it was killed by us (SIGKILL) when it had printed tick {first.until_tick}; {how}"
    return Sighting(factor, True, how)


def goes_on(factor: Factor, first: ReplayRun, kept: Path) -> bool:
    """Return whether the first process left what the second one needs."""
    return first.error is None and (factor is Factor.RESTART or _snapshot(kept).exists())


def _snapshot(kept: Path) -> Path:
    return kept / "snapshot"
