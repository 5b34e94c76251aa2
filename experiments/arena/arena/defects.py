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
UNREADABLE_RELEASE = "unreadable-release"
THREAD_RACE = "thread-race"
LOCALE_FORMAT = "locale-format"
UNLOGGED_INPUT = "unlogged-input"
NO_FLUSH = "no-flush"
LOST_HOLE = "lost-hole"
HALF_ROLLBACK = "half-rollback"
NEITHER = "neither"
BOTH = "both"
STALE_READS = "stale-reads"
NON_MONOTONIC = "non-monotonic"
LOST_SESSIONS = "lost-sessions"
SLOW_RECOVERY = "slow-recovery"
NEVER_RECOVERS = "never-recovers"
FALLS_AGAIN = "falls-again"
SPLIT_BRAIN = "split-brain"
UNBALANCED_GATEWAYS = "unbalanced-gateways"
BROADCAST = "broadcast"
RETRY_STORM = "retry-storm"
MEMORY_LEAK = "memory-leak"
HUNG_DEPENDENCY = "hung-dependency"
DEAD_LINK = "dead-link"
TWO_LEADERS = "two-leaders"

DESCRIPTIONS = {
    WALL_CLOCK: "a player's last move is stamped with the wall clock instead of the tick",
    ACK_BEFORE_LOG: "the input log is written a second after the answers: a SIGKILL loses what was promised",
    DOUBLE_APPLY: "an action that arrives again is applied again, and a recovered world is sent its last actions again",
    UNORDERED: "players are paired in the order of a set of strings, which differs from process to process",
    UNSEEDED_RANDOM: "damage is drawn from Python's own random generator instead of the one in the state",
    GOLD_LEAK: "a settlement pays the winner one gold too little; it is nowhere afterwards",
    UNREADABLE_RELEASE: "release 2 of the world packs its input log, and release 1 cannot read it after a rollback",
    THREAD_RACE: "the strikes of a tick are worked out by two threads that draw from one generator in any order",
    LOCALE_FORMAT: "a settlement carries a number written as the process's locale has it: 12.5, or 12,5",
    UNLOGGED_INPUT: "what players say changes the state and is answered, but is not written to the input log",
    NO_FLUSH: "the input log is written through a buffer of 16 KiB without a flush: a SIGKILL loses what is in it",
    LOST_HOLE: "a recovery passes over the moves of one tick in the log's last second, and keeps later ones",
    HALF_ROLLBACK: "a match that is rolled back is so for one of its players; the other is told that it was settled",
    NEITHER: "a match that was running when the world went down is forgotten: it has no end, and keeps its stakes",
    BOTH: "a match that was interrupted for too long is rolled back, and goes on, and is settled too",
    STALE_READS: "for 3 s after a recovery, what was played is read from the state as it was recovered",
    NON_MONOTONIC: "every other time a player reads what it played, it is from a copy that is up to 2 s old",
    LOST_SESSIONS: "a recovery forgets whose the sessions are: a player that resumes its own is taken for a new one",
    SLOW_RECOVERY: "a recovery reads the whole log again and again: the world is back after six more seconds",
    NEVER_RECOVERS: "a recovered world says that it is ready, and waits for a lock that died with the one before it",
    FALLS_AGAIN: "a recovered world dies by itself after two seconds, three times",
    SPLIT_BRAIN: "a gateway that does not hear the world for a second answers its players itself, and forgets it",
    UNBALANCED_GATEWAYS: "the second gateway hangs up on all but three players: the first one has them all",
    BROADCAST: "everybody is shown everybody, and hears everybody, instead of those who are near",
    RETRY_STORM: "what the ledger does not answer within half a second it is asked again, every tick",
    MEMORY_LEAK: "the world keeps 4 KiB for every line of a player, for good",
    HUNG_DEPENDENCY: "in a tick with something to settle, the world waits until the ledger says that it is there",
    DEAD_LINK: "a gateway whose link to the world was cut does not dial again",
    TWO_LEADERS: "a world leads without a lease: a standby that hears nothing, a leader that cannot renew it",
}


def chosen(names: Iterable[str]) -> frozenset[str]:
    """Return the defects named on the command line and in `ARENA_DEFECT`. Raises ValueError for an unknown one."""
    wanted = {*names, *filter(None, os.environ.get("ARENA_DEFECT", "").split(","))}
    if unknown := sorted(wanted - DESCRIPTIONS.keys()):
        raise ValueError(f"unknown defect '{unknown[0]}'; there are: {', '.join(sorted(DESCRIPTIONS))}")
    return frozenset(wanted)
