from __future__ import annotations

import pytest

from arena import defects, reads
from arena.protocol import parse
from arena.state import State
from tests.experiments.arena.game import Game, with_players


class Reader:
    """Ann, who moves once a tick and reads."""

    def __init__(self, planted: frozenset[str], *, afresh: bool) -> None:
        self.game: Game = with_players("ann", planted=planted)
        self.moved = 0
        self.move(5)
        self._reads = reads.chosen(self.game.state, afresh=afresh)

    @property
    def state(self) -> State:
        return self.game.state

    def move(self, times: int) -> None:
        for _ in range(times):
            self.moved += 1
            assert self.game.play(["move", "ann", self.moved, 1, 1]) == [f"OK {self.moved} {self.state.tick}"]

    def ask(self, line: str) -> str:
        question = parse("ann", line).question
        assert question is not None
        return self._reads.answer(self.state, "ann", question)

    def last_seen(self) -> int:
        return int(self.ask("SEEN").rpartition("-")[2])


@pytest.mark.parametrize(
    ("planted", "afresh"),
    [(frozenset[str](), False), (frozenset({defects.STALE_READS}), True)],
    ids=["clean", "nothing was recovered"],
)
def test_a_read_is_of_the_live_state(planted: frozenset[str], afresh: bool) -> None:
    ann = Reader(planted, afresh=afresh)
    for _ in range(100):
        ann.move(1)
        assert ann.last_seen() == ann.moved


def test_after_a_recovery_reads_stand_still_for_3_s_and_never_go_back() -> None:
    ann = Reader(frozenset({defects.STALE_READS}), afresh=False)
    recovered = ann.moved
    seen = []
    for _ in range(3 * 20 + 5):
        ann.move(1)
        seen.append(ann.last_seen())
        assert ann.ask("WHERE").split()[1] == str(ann.state.players["ann"].x)
    assert seen == [recovered] * 59 + [recovered + n for n in range(60, 66)]


def test_every_other_read_is_of_a_copy_that_is_at_most_2_s_old() -> None:
    ann = Reader(frozenset({defects.NON_MONOTONIC}), afresh=True)
    lags = []
    for _ in range(100):
        ann.move(1)
        assert ann.last_seen() == ann.moved
        lags.append(ann.moved - ann.last_seen())
    assert set(lags) == set(range(40))
    assert {ann.ask("WHERE").split()[1] for _ in range(4)} == {str(ann.state.players["ann"].x)}


def test_players_take_turns_of_their_own() -> None:
    game = with_players("ann", "bob")
    of_both = reads.ReadsInTurns(game.state)
    game.play(["move", "ann", 1, 1, 1], ["move", "bob", 1, 1, 1])
    seen = {name: parse(name, "SEEN").question for name in ("ann", "bob")}
    answers = [of_both.answer(game.state, name, seen[name]) for name in ("ann", "bob", "ann", "bob")]  # type: ignore
    assert answers == ["SEEN 1", "SEEN 1", "SEEN -", "SEEN -"]
