"""Planted defects in the rules: what replays tell apart, and ends of matches that are not whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arena import defects
from arena.bank import TREASURY
from arena.matches import LASTS_S, STAKE
from arena.state import Config
from tests.experiments.arena.deployment import ARENA
from tests.experiments.arena.game import Game, ends, replayed, with_players

LOCALE_DEFINITIONS = Path("/usr/share/i18n/locales/de_DE")
RESUMES_1_S = Config(seed=7, resume_within_ms=1000)
MATCH_TICKS = LASTS_S * 20

DIGESTS_OF_A_MATCH = """
import sys
from tests.experiments.arena.game import with_players
game = with_players("ann", "bob", planted=frozenset(sys.argv[1:]))
game.play(["queue", "ann", 1], ["queue", "bob", 1])
for n in range(2, 70):
    game.play(["hit", "ann", n, "bob"])
print(game.digests)
"""


def in_a_match(planted: frozenset[str], *names: str) -> Game:
    """Play until the match of the first two runs, where a match that is interrupted for a second is rolled back."""
    game = with_players(*(names or ("ann", "bob")), planted=planted, config=RESUMES_1_S)
    game.play(["queue", "ann", 1], ["queue", "bob", 1])
    game.play()
    assert game.state.matches["m1"].phase == "running"
    return game


def play_on(game: Game) -> None:
    for _ in range(MATCH_TICKS + 5):
        game.play()


@pytest.mark.parametrize("planted", [frozenset(), frozenset({defects.THREAD_RACE})], ids=["clean", "planted"])
def test_threads_that_draw_in_any_order_make_replays_part(planted: frozenset[str]) -> None:
    game = in_a_match(planted)
    for n in range(2, 42):
        game.play(*(["hit", name, n, other] for name, other in (("ann", "bob"), ("bob", "ann"), ("ann", "bob"))))
    plain = [replayed(game.log, planted, RESUMES_1_S) for _ in range(3)]
    assert all(digests == game.digests for digests in plain) == (not planted)


def test_threads_strike_as_often_as_was_asked() -> None:
    game = in_a_match(frozenset({defects.THREAD_RACE}))
    for n in range(2, 42):
        game.play(["hit", "ann", n, "bob"], ["hit", "bob", n, "ann"])
    match = game.state.matches["m1"]
    assert 40 <= match.points_a <= 40 * 20
    assert 40 <= match.points_b <= 40 * 20


@pytest.fixture(scope="module")
def comma_locale(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine where numbers are written with a comma."""
    if not LOCALE_DEFINITIONS.exists():
        pytest.skip("no locale definitions are installed")
    folder = tmp_path_factory.mktemp("locales")
    made = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"}


@pytest.mark.parametrize("planted", [[], [defects.LOCALE_FORMAT]], ids=["clean", "planted"])
def test_a_number_in_the_state_is_written_as_the_locale_has_it(
    planted: list[str], comma_locale: dict[str, str]
) -> None:
    plain, plain_again = digests_under({}, planted), digests_under({"LC_ALL": "C"}, planted)
    assert plain == plain_again
    assert (digests_under(comma_locale, planted) == plain) == (not planted)


def test_a_locale_that_is_not_installed_is_as_if_there_were_none() -> None:
    planted = [defects.LOCALE_FORMAT]
    assert digests_under({"LC_ALL": "xx_XX"}, planted) == digests_under({}, planted)


def digests_under(env: dict[str, str], planted: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS_OF_A_MATCH, *planted],
        env={"PYTHONPATH": f"{ARENA}{os.pathsep}{ARENA.parents[1]}", **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout


def test_half_a_rollback_is_one_for_one_player_only() -> None:
    game = in_a_match(frozenset({defects.HALF_ROLLBACK}))
    game.play(["downtime", 1001])
    play_on(game)
    assert game.pushes[-2:] == [("ann", "* MATCH m1 rolled_back"), ("bob", "* MATCH m1 settled bob")]
    players = game.state.players
    assert [players[name].results for name in ("ann", "bob")] == [[("m1", "rolled_back")], [("m1", "settled bob")]]
    assert [players[name].gold for name in ("ann", "bob")] == [100, 100 - STAKE]
    assert not len(game.state.matches)
    assert game.bank.total() == TREASURY


def test_half_a_rollback_needs_a_rollback() -> None:
    game = in_a_match(frozenset({defects.HALF_ROLLBACK}))
    game.play(["downtime", 900])
    play_on(game)
    assert {line.split()[3] for line in ends(game)} == {"started", "settled"}


@pytest.mark.parametrize("down_ms", [300, 1001])
def test_an_interrupted_match_is_forgotten_whatever_the_window(down_ms: int) -> None:
    game = in_a_match(frozenset({defects.NEITHER}))
    game.play(["downtime", down_ms])
    play_on(game)
    assert {line.split()[3] for line in ends(game)} == {"started"}
    players = game.state.players
    assert [(players[name].match, players[name].results) for name in ("ann", "bob")] == [("", [])] * 2
    assert [players[name].gold for name in ("ann", "bob")] == [100 - STAKE] * 2
    assert not len(game.state.matches)
    assert game.bank.total() == TREASURY


def test_who_was_forgotten_can_play_again() -> None:
    game = in_a_match(frozenset({defects.NEITHER}))
    game.play(["downtime", 300])
    game.play(["queue", "ann", 2], ["queue", "bob", 2])
    play_on(game)
    assert game.pushes[-2:] == [("ann", "* MATCH m2 settled ann"), ("bob", "* MATCH m2 settled ann")]


def test_a_match_that_was_rolled_back_is_settled_too() -> None:
    game = in_a_match(frozenset({defects.BOTH}))
    game.play(["downtime", 1001])
    play_on(game)
    told = [line.split()[3] for name, line in game.pushes if name == "bob"]
    assert told == ["started", "rolled_back", "settled"]
    assert [how.split()[0] for _, how in game.state.players["bob"].results] == ["rolled_back", "settled"]
    assert game.state.players["bob"].match == ""
    assert not len(game.state.matches)
    assert not len(game.state.outbox)
    assert game.bank.total() == TREASURY


@pytest.mark.parametrize("defect", [defects.HALF_ROLLBACK, defects.NEITHER, defects.BOTH, defects.LOST_SESSIONS])
def test_a_replay_of_what_is_wrong_agrees_with_it(defect: str) -> None:
    planted = frozenset({defect})
    game = in_a_match(planted, "ann", "bob", "cid")
    game.play(["downtime", 1001])
    game.play(["hello", "cid", "key-cid"])
    play_on(game)
    assert replayed(game.log, planted, RESUMES_1_S) == game.digests


def test_a_recovery_forgets_whose_the_sessions_are() -> None:
    asked = (["move", "ann", 1, 0, 0], ["hello", "ann", "key-ann"], ["move", "ann", 2, 0, 0])
    for planted, downtime, answers in (
        (frozenset[str](), True, ["OK 1", "resumed", "OK 2"]),
        (frozenset({defects.LOST_SESSIONS}), False, ["OK 1", "resumed", "OK 2"]),
        (frozenset({defects.LOST_SESSIONS}), True, ["ERR say HELLO first", "fresh", "OK 2"]),
    ):
        game = with_players("ann", planted=planted)
        game.play(*([["downtime", 700]] if downtime else []))
        tick = game.state.tick + 1
        assert game.play(*asked) == [f"{text} {tick}" if text.startswith("OK") else text for text in answers]
        assert game.state.players["ann"].online
