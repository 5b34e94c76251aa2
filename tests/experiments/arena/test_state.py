from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from arena.bank import TREASURY
from arena.inputlog import decode
from arena.matches import LASTS_S, STAKE
from arena.state import Config, State, combined
from arena.table import canonical, digest_of
from tests.experiments.arena.game import Game, ends, with_players

NAMES = ("ann", "bob", "cid", "dan")
numbers = st.integers(1, 12)
names = st.sampled_from(NAMES)
steps = st.integers(-10, 10)
actions = st.one_of(
    st.tuples(st.just("move"), names, numbers, steps, steps),
    st.tuples(st.just("hit"), names, numbers, names),
    st.tuples(st.just("chat"), names, numbers, st.text(max_size=8)),
    st.tuples(st.just("queue"), names, numbers),
    st.tuples(st.just("hello"), names, st.sampled_from(("k1", "k2"))),
    st.tuples(st.sampled_from(("back", "leave")), names),
    st.tuples(st.just("downtime"), st.integers(0, 40_000)),
)
games = st.lists(st.lists(actions, max_size=6), max_size=40)


@settings(max_examples=60, deadline=None)
@given(games)
def test_the_same_log_gives_the_same_digests(game: list[list[Any]]) -> None:
    live = Game()
    for inputs in game:
        live.play(*inputs)
    state = State(Config(seed=7, resume_within_ms=30_000))
    for line, digest in zip(live.log, live.digests, strict=True):
        state.step(decode(line[:-1]).inputs)
        assert combined(state.parts()) == digest


@settings(max_examples=60, deadline=None)
@given(games, st.integers(0, 40))
def test_a_state_that_was_written_and_read_goes_on_the_same(game: list[list[Any]], cut: int) -> None:
    live, copy = Game(), None
    for at, inputs in enumerate(game):
        if at == cut:
            copy = State.from_json(json.loads(canonical(live.state.as_json())))
        live.play(*inputs)
        if copy is not None:
            copy.step(decode(live.log[-1][:-1]).inputs)
            assert copy.parts() == live.state.parts()


@settings(max_examples=60, deadline=None)
@given(games)
def test_the_cheap_digest_sees_every_change(game: list[list[Any]]) -> None:
    """Digests are kept for rows that nobody touched: that must never hide a change."""
    live = Game()
    for inputs in game:
        live.play(*inputs)
        afresh = State.from_json(live.state.as_json())
        assert afresh.parts() == live.state.parts()


@settings(max_examples=60, deadline=None)
@given(games, st.data())
def test_an_input_that_was_tampered_with_shows_from_its_tick_to_the_end(
    game: list[list[Any]], data: st.DataObject
) -> None:
    """Also where it commutes with the others, or changes nothing in the rules: a repeated number, a leave at noon."""
    assume(any(game))
    tick = data.draw(st.sampled_from([at for at, inputs in enumerate(game) if inputs]))
    inputs, at = game[tick], data.draw(st.integers(0, len(game[tick]) - 1))
    tampers = {
        "drop": [*inputs[:at], *inputs[at + 1 :]],
        "repeat": [*inputs[: at + 1], *inputs[at:]],
        "swap": [*inputs[:at], *inputs[at + 1 : at + 2], inputs[at], *inputs[at + 2 :]],
        "alter": [*inputs[:at], ("chat", "ann", 99, "another"), *inputs[at + 1 :]],
    }
    tampered = data.draw(st.sampled_from([one for one in tampers.values() if one != inputs]))
    recorded, other = State(Config(seed=7)), State(Config(seed=7))
    for now, consumed in enumerate(game):
        recorded.step(consumed)
        other.step(tampered if now == tick else consumed)
        assert (recorded.parts()["world"] == other.parts()["world"]) == (now < tick)


@settings(max_examples=60, deadline=None)
@given(games)
def test_gold_is_conserved_and_ends_whole(game: list[list[Any]]) -> None:
    live = Game()
    for inputs in game:
        live.play(*inputs)
        assert live.bank.total() == TREASURY
    for _ in range(LASTS_S * live.state.config.hz + 5):
        live.play()
    assert not len(live.state.outbox)
    assert live.bank.total() == TREASURY
    held = list(live.bank._db.execute("SELECT * FROM gold WHERE holder LIKE 'escrow:%'"))
    assert not held, "a match is over, and its stakes are still held"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_resends_in_any_order_are_applied_once(data: st.DataObject) -> None:
    sent = [["move", "ann", n, 1, 0] for n in range(1, 9)]
    arriving = data.draw(st.permutations(sent + sent + sent[:3]))
    game = with_players("ann")
    game.state.players["ann"].x = 0
    replies = game.play(*arriving)
    player = game.state.players["ann"]
    assert player.x == len(sent)
    assert player.seen() == "1-8"
    assert all(reply is not None and reply.startswith("OK ") for reply in replies)


def test_a_refused_action_did_not_happen_and_its_number_is_free() -> None:
    game = with_players("ann")
    (reply,) = game.play(["hit", "ann", 1, "nobody"])
    assert reply == "ERR there is no such player"
    assert game.state.players["ann"].seen() == ""
    (reply,) = game.play(["move", "ann", 1, 0, 0])
    assert reply == f"OK 1 {game.state.tick}"


def test_numbers_that_leave_too_many_gaps_are_refused() -> None:
    game = with_players("ann")
    replies = game.play(*(["move", "ann", 2 * n, 0, 0] for n in range(1, 1102)))
    assert replies.count("ERR too many numbers were left out") == 101


def test_a_name_belongs_to_its_token() -> None:
    game = Game()
    replies = game.play(["hello", "ann", "k1"], ["hello", "ann", "k1"], ["hello", "ann", "k2"])
    assert replies == ["fresh", "resumed", "ERR that name is taken; give its token"]


def test_a_match_is_settled_once_and_moves_the_stake() -> None:
    game = with_players("ann", "bob")
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    for n in range(2, 5 + LASTS_S * 20):
        game.play(["hit", "ann", n, "bob"])
    assert ends(game) == [
        f"* MATCH m1 started bob {STAKE}",
        f"* MATCH m1 started ann {STAKE}",
        "* MATCH m1 settled ann",
        "* MATCH m1 settled ann",
    ]
    assert [game.state.players[name].gold for name in ("ann", "bob")] == [100 + STAKE, 100 - STAKE]
    assert not len(game.state.matches)


@pytest.mark.parametrize(("down_ms", "end"), [(29_000, "settled"), (31_000, "rolled_back")])
def test_a_match_interrupted_for_too_long_is_rolled_back_as_a_whole(down_ms: int, end: str) -> None:
    game = with_players("ann", "bob")
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    game.play()
    game.play(["downtime", down_ms])
    for _ in range(LASTS_S * 20 + 5):
        game.play()
    assert {line.split()[3] for line in ends(game)} == {"started", end}
    gold = [game.state.players[name].gold for name in ("ann", "bob")]
    assert sum(gold) == 200
    assert (gold == [100, 100]) == (end == "rolled_back")


def test_a_match_whose_winner_is_decided_is_never_rolled_back() -> None:
    game = with_players("ann", "bob")
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    for _ in range(LASTS_S * 20 + 1):
        game.play()
    while game.state.matches["m1"].phase != "settling":
        game.play(confirm=False)
    game.play(["downtime", 120_000], confirm=False)
    assert game.state.matches["m1"].phase == "settling"
    game.play()
    assert ends(game)[-1].split()[3] == "settled"


def test_stakes_that_the_ledger_never_held_are_given_up_in_time() -> None:
    game = with_players("ann", "bob")
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    for _ in range(30 * 20 + 1):
        game.play(confirm=False)
    assert game.state.matches["m1"].phase == "returning"
    game.play()  # only now the ledger is there: it holds, then releases
    game.play()
    assert ends(game) == ["* MATCH m1 rolled_back"] * 2
    assert [game.state.players[name].gold for name in ("ann", "bob")] == [100, 100]


def test_who_cannot_pay_is_not_paired() -> None:
    game = with_players("ann", "bob")
    game.state.players["ann"].gold = STAKE - 1
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    assert not len(game.state.matches)
    assert game.state.queue == ["ann", "bob"]


def test_every_player_counts_in_the_digest() -> None:
    game = with_players(*NAMES)
    before = game.state.parts()
    game.play(["move", "cid", 1, 1, 1])
    after = game.state.parts()
    assert before["players"] != after["players"]
    assert before["matches"] == after["matches"] == digest_of(b"").hex()


@pytest.mark.parametrize("wrong", [["fly", "ann", 1], ["move", "ann"], [], ["move", "ann", 1, "far", 1]])
def test_an_input_that_no_world_writes_is_an_error(wrong: list[Any]) -> None:
    game = with_players("ann")
    with pytest.raises(ValueError, match="no world writes"):
        game.state.step([wrong])
