"""Which state a player's question is asked of: the live one, or, with a planted defect, one that is not."""

from __future__ import annotations

from collections.abc import Callable

from arena import defects
from arena.state import State

STALE_S = 3
LAG_S = 2

Question = Callable[[State], str]


class Reads:
    """Asks the live state."""

    def answer(self, state: State, player: str | None, question: Question) -> str:
        """Return the answer to a question of a player."""
        return question(state)


class StaleReads(Reads):
    """The planted defect `stale-reads`: for 3 s, what was played is read from the state as it was recovered."""

    def __init__(self, recovered: State) -> None:
        self._until = recovered.tick + STALE_S * recovered.config.hz
        self._recovered = _copy(recovered)

    def answer(self, state: State, player: str | None, question: Question) -> str:
        """Return the answer to a question of a player."""
        live = question(state)
        return question(self._recovered) if live.startswith("SEEN") and state.tick < self._until else live


class ReadsInTurns(Reads):
    """The planted defect `non-monotonic`: every other time a player reads what it played, it is from an older copy."""

    def __init__(self, state: State) -> None:
        self._older = _copy(state)
        self._turns: dict[str | None, bool] = {}

    def answer(self, state: State, player: str | None, question: Question) -> str:
        """Return the answer to a question of a player."""
        if state.tick >= self._older.tick + LAG_S * state.config.hz:
            self._older = _copy(state)
        live = question(state)
        if not live.startswith("SEEN"):
            return live
        self._turns[player] = older = not self._turns.get(player, True)
        return question(self._older) if older else live


def chosen(state: State, *, afresh: bool) -> Reads:
    """Return what the defects planted in the state make of reads; `afresh`: nothing was recovered."""
    if defects.NON_MONOTONIC in state.planted:
        return ReadsInTurns(state)
    if defects.STALE_READS in state.planted and not afresh:
        return StaleReads(state)
    return Reads()


def _copy(state: State) -> State:
    return State.from_json(state.as_json())
