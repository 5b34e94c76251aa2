"""Every planted defect misbehaves in the way that its check looks for; without one, nothing does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arena import defects
from arena.bank import TREASURY, Bank
from arena.state import Config, State
from tests.experiments.arena.deployment import ARENA, Client, Deployment

DIGEST_ONCE = """
import sys
from arena.state import Config, State, combined
state = State(Config(seed=7), frozenset(sys.argv[1:]))
names = [f"p{n}" for n in range(8)]
state.step([["hello", name, "k"] for name in names])
for name in names:
    state.players[name].gold = 100
state.step([["queue", name, 1] for name in names])
state.step([["hit", "p0", n, "p1"] for n in range(2, 30)] + [["move", "p0", 40, 1, 1]])
for name in names:
    state.players[name].x = state.players[name].y = 5
state.step([["hit", "p2", n, "p3"] for n in range(2, 30)])
print(combined(state.parts()))
"""


def digest(planted: list[str], hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST_ONCE, *planted],
        cwd=ARENA,
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return done.stdout


@pytest.mark.parametrize("planted", [[], ["wall-clock"], ["unordered"], ["unseeded-random"]])
def test_what_makes_a_replay_differ(planted: list[str]) -> None:
    digests = {digest(planted, hash_seed) for hash_seed in ("1", "2", "3")}
    assert (len(digests) > 1) == bool(planted)


def test_gold_leaks_at_a_settlement() -> None:
    totals = []
    for planted in (frozenset[str](), frozenset({defects.GOLD_LEAK})):
        bank = Bank(":memory:", planted)
        for name in ("ann", "bob"):
            bank.apply(f"open:{name}", {"op": "open", "player": name})
        bank.apply("hold:m1", {"op": "hold", "match": "m1", "players": ["ann", "bob"], "stake": 10})
        bank.apply("settle:m1", {"op": "settle", "match": "m1", "players": ["ann", "bob"], "winner": "ann"})
        totals.append(bank.total())
    assert totals == [TREASURY, TREASURY - 1]


def test_an_action_that_arrives_again_takes_effect_again() -> None:
    state = State(Config(seed=7), frozenset({defects.DOUBLE_APPLY}))
    state.step([["hello", "ann", "k"]])
    state.players["ann"].x = 0
    state.step([["move", "ann", 1, 1, 0], ["move", "ann", 1, 1, 0], ["move", "ann", 2, 1, 0]])
    assert state.players["ann"].x == 3
    assert state.players["ann"].seen() == "1-2,1"


def play_until_killed(arena: Deployment) -> tuple[Client, int]:
    """Move for two seconds, kill the world, start it again."""
    ann = arena.client(0)
    assert ann.ask("HELLO ann a").startswith("WELCOME")
    for n in range(1, 41):
        assert ann.ask(f"MOVE {n} 0 0").startswith("OK")
    arena.kill("world")
    arena.start("world")
    return ann, 40


@pytest.mark.e2e
def test_acknowledgement_before_the_log_loses_what_was_promised(tmp_path: Path) -> None:
    with Deployment(tmp_path, defects.ACK_BEFORE_LOG) as arena:
        ann, last = play_until_killed(arena)
        answer = ann.ask("SEEN").split()[-1]
        assert answer.startswith("1-")
        assert int(answer.removeprefix("1-")) < last
        arena.end("world")
        assert arena.replay() == arena.digests()


@pytest.mark.e2e
def test_a_recovered_world_applies_its_last_actions_twice(tmp_path: Path) -> None:
    with Deployment(tmp_path, defects.DOUBLE_APPLY) as arena:
        ann = arena.client(0)
        ann.ask("HELLO ann a")
        # Kill it right behind the answer: mostly the action's tick is the last one in the log then.
        for n in range(1, 30):
            assert ann.ask(f"MOVE {n} 0 0").startswith(f"OK {n} ")
            arena.kill("world")
            arena.start("world")
            if "," in ann.ask("SEEN"):
                return
        pytest.fail("no action took effect twice")


@pytest.mark.e2e
def test_the_wall_clock_makes_live_and_replay_differ(tmp_path: Path) -> None:
    with Deployment(tmp_path, defects.WALL_CLOCK) as arena:
        ann = arena.client(0)
        ann.ask("HELLO ann a")
        ann.ask("MOVE 1 1 1")
        arena.end("world")
        live, again = arena.digests(), arena.replay()
        differ = [one["tick"] for one, other in zip(live, again, strict=True) if one != other]
        assert differ
        assert live[differ[0]]["parts"]["players"] != again[differ[0]]["parts"]["players"]
        assert live[differ[0]]["parts"]["world"] == again[differ[0]]["parts"]["world"]


def test_an_unknown_defect_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_DEFECT", "wall-clock,typo")
    with pytest.raises(ValueError, match="unknown defect 'typo'; there are: ack-before-log, both, "):
        defects.chosen([])
    monkeypatch.setenv("ARENA_DEFECT", "")
    assert defects.chosen([]) == frozenset()
    assert defects.chosen(["gold-leak"]) == {"gold-leak"}
