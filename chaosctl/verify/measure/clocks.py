"""Clocks that went backwards: what came first is then not known, so nothing that rests on it may pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chaosctl.recording.model import History, Int64, Mark
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure.once import once

_CHUNK = 1 << 20  # lines that are looked at together


@once
def went_back(history: History) -> int:
    """Return how often an operation was answered before it was asked for, or a bot's next one asked for before the
    last one; in file order."""
    latest = np.full(len(history.bots), np.iinfo(np.int64).min, np.int64)
    chunks = (slice(start, start + _CHUNK) for start in range(0, len(history), _CHUNK))
    return sum(_asked_back(history, chunk, latest) + _answered_back(history, chunk) for chunk in chunks)


def _asked_back(history: History, chunk: slice, latest: Int64) -> int:
    """Count invokes that are earlier than the bot's last one; `latest` of each bot is kept from chunk to chunk."""
    lines = chunk.start + np.flatnonzero(history.mark[chunk] == Mark.INVOKE)
    lines = lines[np.argsort(history.bot[lines], kind="stable")]
    bots, at_ns = history.bot[lines], history.at_ns[lines]
    changes = np.diff(bots, prepend=-1) != 0
    before = np.where(changes, latest[bots], np.concatenate([at_ns[:1], at_ns[:-1]]))
    latest[bots] = at_ns  # of equal bots the last one stays
    return int((at_ns < before).sum())


def _answered_back(history: History, chunk: slice) -> int:
    """Count completions that are earlier than their invokes, which mostly stand close by."""
    order = np.argsort(history.id[chunk], kind="stable")
    id, mark, at_ns = (column[chunk][order] for column in (history.id, history.mark, history.at_ns))
    pairs = (id[1:] == id[:-1]) & (mark[:-1] == Mark.INVOKE)
    return int((pairs & (at_ns[1:] < at_ns[:-1])).sum())


def despite_clock(finding: Finding, history: History) -> Finding:
    """Return the finding; a pass becomes inconclusive where a clock went back."""
    jumps = went_back(history) if finding.status is Status.PASS else 0
    if not jumps:
        return finding
    why = f"the clock went back {jumps} times while the history was written, so what came first is not known"
    return replace(finding, status=Status.INCONCLUSIVE, why=f"{why}; {finding.why}")
