"""What became of the players' sessions that a fault met."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from chaosctl.recording.model import History


@dataclass(frozen=True)
class SessionCounts:
    """Of the sessions open at a fault: never cut, cut and resumed, cut and not resumed."""

    kept: int
    resumed: int
    lost: int


def session_counts(history: History, called_ns: int, end_ns: int) -> SessionCounts | None:
    """Follow every session open at `called_ns` up to `end_ns`; one cut by then is followed until it is resumed or not.

    None when no session was ever recorded.
    """
    if "session" not in history.fs:
        return None
    lines = np.flatnonzero(history.f == history.fs.index("session"))
    lines = lines[np.argsort(history.at_ns[lines], kind="stable")]
    values = history.value.take(pa.array(lines)).to_pylist()
    is_open: set[int] = set()
    fate: dict[int, str] = {}
    for at_ns, key, value in zip(history.at_ns[lines].tolist(), history.key[lines].tolist(), values, strict=True):
        if at_ns < called_ns:
            (is_open.add if value in ("open", "resumed") else is_open.discard)(key)
        elif key in is_open:
            _follow(fate, key, value, at_ns < end_ns)
    cut = {key: value for key, value in fate.items() if value != "closed"}
    resumed = sum(value == "resumed" for value in cut.values())
    return SessionCounts(kept=len(is_open) - len(cut), resumed=resumed, lost=len(cut) - resumed)


def _follow(fate: dict[int, str], key: int, value: str | None, in_window: bool) -> None:
    """A session's fate is its first cut and what came of it; an orderly close ends the matter."""
    known = fate.get(key)
    ends = in_window and value in ("cut", "lost", "closed")
    if value and (ends if known is None else known == "cut" and value in ("resumed", "lost")):
        fate[key] = value
