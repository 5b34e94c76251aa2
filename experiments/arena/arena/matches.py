"""Matches: two players, a stake each, a few seconds, and an end as a whole, settled or rolled back.

The life of a match, in which every step that moves gold waits for the ledger:

    holding    both stakes were asked for        -> running, or dropped when somebody cannot pay
    running    the players score                 -> settling, or returning when it was interrupted for too long
    settling   the winner was decided and told   -> gone: settled
    returning  the stakes go back                -> gone: rolled back

A match that reached `settling` is never rolled back: the ledger may have paid already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arena import defects, planted

if TYPE_CHECKING:
    from arena.state import State

LASTS_S = 3
STAKE = 10
RESULTS_KEPT = 8


@dataclass(slots=True)
class Match:
    """One match. `since` is the tick of its making, `ends` the tick at which it is decided (0: it does not run yet)."""

    id: str
    a: str
    b: str
    stake: int
    phase: str
    since: int
    ends: int = 0
    points_a: int = 0
    points_b: int = 0
    interrupted_ms: int = 0
    winner: str = ""


def advance(state: State) -> None:
    """Pair who waits, decide what is over, and give up on what nobody confirmed in time."""
    if len(state.queue) >= 2:
        _pair(state)
    for match in state.matches.rows():
        if match.phase == "running" and state.tick >= match.ends:
            _decide(state, match)
        elif match.phase == "holding" and _waited_ms(state, match) > state.config.resume_within_ms:
            _roll_back(state, match)


def score(state: State, match: Match, name: str, points: int) -> None:
    """Count points of one of the two while the match runs."""
    if match.phase == "running":
        if name == match.a:
            match.points_a += points
        else:
            match.points_b += points
        state.matches.touch(match.id)


def confirmed(state: State, key: str, done: bool) -> None:
    """Go on after the ledger's answer to `hold:ID`, `settle:ID` or `release:ID`."""
    step, _, match_id = key.partition(":")
    match = state.matches.get(match_id)
    if match is None:
        return
    if step == "hold" and match.phase == "holding":
        if done:
            _start(state, match)
        else:
            _end(state, match, "refused")
    elif step == "settle" and match.phase == "settling":
        _end(state, match, f"settled {match.winner}")
    elif step == "release" and match.phase == "returning":
        _end(state, match, "rolled_back")
    elif step == "release" and defects.BOTH in state.planted:
        _tell_end(state, match, "rolled_back")


def interrupted(state: State, ms: int) -> None:
    """Account for time in which the world was down; what was interrupted for too long is rolled back as a whole."""
    for match in state.matches.rows():
        if defects.NEITHER in state.planted and match.phase == "running":
            _forget(state, match)
            continue
        match.interrupted_ms += ms
        state.matches.touch(match.id)
        if match.phase in ("holding", "running") and match.interrupted_ms > state.config.resume_within_ms:
            _roll_back(state, match)


def _pair(state: State) -> None:
    # The planted defect: the order of a set of strings depends on the process's hash seed.
    waiting = list(set(state.queue)) if defects.UNORDERED in state.planted else state.queue
    able = [name for name in waiting if state.players[name].gold >= STAKE]
    # Who cannot pay yet (the ledger may still be opening the account) keeps waiting.
    paired = [(able[at], able[at + 1]) for at in range(0, len(able) - 1, 2)]
    gone = [name for pair in paired for name in pair]
    state.queue = [name for name in state.queue if name not in gone]
    for a, b in paired:
        match = Match(f"m{state.next_match}", a, b, STAKE, "holding", state.tick)
        state.next_match += 1
        state.matches.put(match.id, match)
        state.outbox.put(f"hold:{match.id}", {"op": "hold", "match": match.id, "players": [a, b], "stake": STAKE})
        for name in (a, b):
            state.players[name].match = match.id
            state.players.touch(name)


def _start(state: State, match: Match) -> None:
    match.phase, match.ends = "running", state.tick + LASTS_S * state.config.hz
    state.matches.touch(match.id)
    state.push(match.a, f"MATCH {match.id} started {match.b} {match.stake}")
    state.push(match.b, f"MATCH {match.id} started {match.a} {match.stake}")


def _decide(state: State, match: Match) -> None:
    if match.points_a == match.points_b:
        match.winner = (match.a, match.b)[state.draw(2)]
    else:
        match.winner = match.a if match.points_a > match.points_b else match.b
    match.phase = "settling"
    state.matches.touch(match.id)
    entry = {"op": "settle", "match": match.id, "players": [match.a, match.b], "winner": match.winner}
    if defects.LOCALE_FORMAT in state.planted:
        entry["memo"] = planted.points_a_second(match.points_a + match.points_b, LASTS_S)
    state.outbox.put(f"settle:{match.id}", entry)


def _roll_back(state: State, match: Match) -> None:
    if not (defects.BOTH in state.planted and match.phase == "running"):
        match.phase = "returning"
    state.matches.touch(match.id)
    players = [match.a] if defects.HALF_ROLLBACK in state.planted else [match.a, match.b]
    state.outbox.put(f"release:{match.id}", {"op": "release", "match": match.id, "players": players})


def _end(state: State, match: Match, how: str) -> None:
    _forget(state, match)
    _tell_end(state, match, how)


def _forget(state: State, match: Match) -> None:
    state.matches.drop(match.id)
    for name in (match.a, match.b):
        state.players[name].match = ""
        state.players.touch(name)


def _tell_end(state: State, match: Match, how: str) -> None:
    told = {match.a: how, match.b: how}
    if how == "rolled_back" and defects.HALF_ROLLBACK in state.planted:
        told[match.b] = f"settled {match.b}"
    for name, end in told.items():
        player = state.players[name]
        player.results = [*player.results[1 - RESULTS_KEPT :], (match.id, end)]
        state.players.touch(name)
        state.push(name, f"MATCH {match.id} {end}")


def _waited_ms(state: State, match: Match) -> int:
    return (state.tick - match.since) * 1000 // state.config.hz + match.interrupted_ms
