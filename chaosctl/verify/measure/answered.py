"""Which version of a service answered which operation: as bots were told, or as it follows from what ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaosctl.recording.facts import Window
from chaosctl.recording.model import History, Int32, Int64, Mark
from chaosctl.verify.measure.lives import Life, common, union, without
from chaosctl.verify.measure.sets import lines_of

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answered:
    """For each of some operations, whether the other version certainly answered it, and whether it may have."""

    surely: Bools
    maybe: Bools


class Told:
    """What bots journaled of a service's versions. `other` holds for every value that no bot was told before the
    first deploy; without any from before it, for the deployed one's name."""

    def __init__(self, history: History, service: str, deployed_ns: int, version: str) -> None:
        lines = lines_of(history, "version", Mark.OK)
        code = history.keys.index(service) if service in history.keys else -1
        lines = lines[history.key[lines] == code]
        values = history.value.take(pa.array(lines)).to_pylist()
        at_ns = history.at_ns[lines]
        own = {value for value, at in zip(values, at_ns.tolist(), strict=True) if at < deployed_ns}
        other = [value not in own if own else value == version for value in values]
        self._by_bot: dict[str, tuple[Int64, Bools]] = {}
        bots = history.bot[lines]
        order = np.lexsort((at_ns, bots))
        for rows in np.split(order, np.flatnonzero(np.diff(bots[order])) + 1) if len(order) else ():
            name = history.bots[int(bots[rows[0]])]
            self._by_bot[name] = at_ns[rows], np.array(other, np.bool_)[rows]

    def __bool__(self) -> bool:
        """Whether any bot was told anything."""
        return bool(self._by_bot)

    def answered(self, names: Sequence[str], bot: Int32, at_ns: Int64) -> Answered:
        """Judge operations by who asked (codes into `names`) and when it was answered. Who was never told anything
        by then may have been answered by either."""
        surely, maybe = np.zeros(len(bot), np.bool_), np.ones(len(bot), np.bool_)
        order = np.argsort(bot, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(bot[order])) + 1) if len(order) else ():
            told_ns, other = self._by_bot.get(names[int(bot[rows[0]])], (None, None))
            if told_ns is None or other is None:
                continue
            place = np.searchsorted(told_ns, at_ns[rows], side="right") - 1
            known = place >= 0
            surely[rows] = known & other[place]
            maybe[rows] = ~known | other[place]
        return Answered(surely, maybe)


def by_what_ran(lives: Sequence[Life], at_ns: Int64) -> Answered:
    """Judge operations by when they were answered: surely while another version was ready and the target's own did
    not run, maybe while both were ready."""
    other = union(life.served for life in lives if life.version is not None and life.served)
    own_ran = union((life.started_ns, life.end_ns) for life in lives if life.version is None)
    own_ready = union(life.served for life in lives if life.version is None and life.served)
    surely = _within(at_ns, without(other, own_ran))
    return Answered(surely, surely | _within(at_ns, common(other, own_ready)))


def _within(at_ns: Int64, windows: Sequence[Window]) -> Bools:
    inside = np.zeros(len(at_ns), np.bool_)
    for start_ns, end_ns in windows:
        inside |= (at_ns >= start_ns) & (at_ns < end_ns)
    return inside
