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


@dataclass(frozen=True)
class LostSession:
    """A session that was not there any more when its bot came back. `id` is that of the history line."""

    key: str
    id: int
    cut_ns: int | None
    at_ns: int


@dataclass(frozen=True)
class SessionFates:
    """All sessions of a run: how often they were cut and resumed, which were lost, and of how many that were cut no bot
    ever said whether it had found them again."""

    sessions: int
    cuts: int
    resumed: int
    lost: tuple[LostSession, ...]
    dangling: int


def session_fates(history: History) -> SessionFates:
    """Follow every session to the end of the history. A session that was lost may be lost again: it began afresh.

    One that was cut stays so until a bot says that it is resumed or lost: closing a connection, or opening a session by
    the same name, says nothing of what became of it.
    """
    lines = np.flatnonzero(history.f == history.fs.index("session")) if "session" in history.fs else np.empty(0, int)
    lines = lines[np.argsort(history.at_ns[lines], kind="stable")]
    values = history.value.take(pa.array(lines)).to_pylist()
    cut_ns: dict[int, int] = {}
    cuts = resumed = 0
    lost: list[LostSession] = []
    for line, value in zip(lines.tolist(), values, strict=True):
        key, at_ns = int(history.key[line]), int(history.at_ns[line])
        if value == "cut":
            cuts += 1
            cut_ns.setdefault(key, at_ns)
            continue
        since_ns = cut_ns.pop(key, None) if value in ("resumed", "lost") else None
        if value == "lost":
            lost.append(LostSession(history.keys[key], int(history.id[line]), since_ns, at_ns))
        elif value == "resumed":
            resumed += 1
    sessions = len(np.unique(history.key[lines]))
    return SessionFates(sessions, cuts, resumed, tuple(lost), len(cut_ns))
