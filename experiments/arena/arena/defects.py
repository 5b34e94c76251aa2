"""Planted defects: mistakes that real servers make, each switched on by its name, each to be caught by some check.

Switched on by `--defect NAME` (repeatable) or by `ARENA_DEFECT=NAME,NAME` in the environment. With none, every
objective holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

WALL_CLOCK = "wall-clock"
ACK_BEFORE_LOG = "ack-before-log"
DOUBLE_APPLY = "double-apply"
UNORDERED = "unordered"
UNSEEDED_RANDOM = "unseeded-random"
GOLD_LEAK = "gold-leak"

DESCRIPTIONS = {
    WALL_CLOCK: "a player's last move is stamped with the wall clock instead of the tick",
    ACK_BEFORE_LOG: "the input log is written a second after the answers: a SIGKILL loses what was promised",
    DOUBLE_APPLY: "an action that arrives again is applied again, and a recovered world is sent its last actions again",
    UNORDERED: "players are paired in the order of a set of strings, which differs from process to process",
    UNSEEDED_RANDOM: "damage is drawn from Python's own random generator instead of the one in the state",
    GOLD_LEAK: "a settlement pays the winner one gold too little; it is nowhere afterwards",
}


def chosen(names: Iterable[str]) -> frozenset[str]:
    """Return the defects named on the command line and in `ARENA_DEFECT`. Raises ValueError for an unknown one."""
    wanted = {*names, *filter(None, os.environ.get("ARENA_DEFECT", "").split(","))}
    if unknown := sorted(wanted - DESCRIPTIONS.keys()):
        raise ValueError(f"unknown defect '{unknown[0]}'; there are: {', '.join(sorted(DESCRIPTIONS))}")
    return frozenset(wanted)
