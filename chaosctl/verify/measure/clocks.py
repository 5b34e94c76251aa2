"""Clocks that went backwards: what came first is then not known, so nothing that rests on it may pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chaosctl.recording.model import History, Mark
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure.once import once

_CHUNK = 1 << 20  # lines that are looked at together


@once
def went_back(history: History) -> int:
    """Return how often a bot's next operation was asked for earlier than the one before it, in file order."""
    invokes = history.mark == Mark.INVOKE
    latest = np.full(len(history.bots), np.iinfo(np.int64).min, np.int64)
    count = 0
    for start in range(0, len(history), _CHUNK):
        lines = start + np.flatnonzero(invokes[start : start + _CHUNK])
        lines = lines[np.argsort(history.bot[lines], kind="stable")]
        bots, at_ns = history.bot[lines], history.at_ns[lines]
        changes = np.diff(bots, prepend=-1) != 0
        before = np.where(changes, latest[bots], np.concatenate([at_ns[:1], at_ns[:-1]]))
        count += int((at_ns < before).sum())
        latest[bots] = at_ns  # of equal bots the last one stays
    return count


def despite_clock(finding: Finding, history: History) -> Finding:
    """Return the finding; a pass becomes inconclusive where a clock went back."""
    jumps = went_back(history) if finding.status is Status.PASS else 0
    if not jumps:
        return finding
    why = f"the clock went back {jumps} times while the history was written, so what came first is not known"
    return replace(finding, status=Status.INCONCLUSIVE, why=f"{why}; {finding.why}")
