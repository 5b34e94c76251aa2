"""A world without sockets and files, for tests: a state, a ledger, and what would stand in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arena.bank import Bank
from arena.inputlog import decode, encode
from arena.state import Config, State, combined

CONFIG = Config(seed=7, resume_within_ms=30_000)


class Game:
    """A state and a ledger that answers each tick after the one that asked; keeps the inputs as a log would."""

    def __init__(self, planted: frozenset[str] = frozenset(), config: Config = CONFIG) -> None:
        self.state = State(config, planted)
        self.bank = Bank(":memory:", planted)
        self.log: list[bytes] = []
        self.digests: list[str] = []
        self.replies: list[str | None] = []
        self.pushes: list[tuple[str, str]] = []

    def play(self, *inputs: Any, confirm: bool = True) -> list[str | None]:
        answers = []
        if confirm:
            answers = [["ledger", key, *self.bank.apply(key, self.state.outbox[key])] for key in self.state.outbox]
        given_ = [*answers, *map(list, inputs)]
        self.log.append(encode(self.state.tick + 1, given_))
        step = self.state.step(given_)
        self.digests.append(combined(self.state.parts()))
        self.pushes += step.pushes
        return step.replies[len(answers) :]


def with_players(*names: str, planted: frozenset[str] = frozenset(), config: Config = CONFIG) -> Game:
    game = Game(planted, config)
    game.play(*(["hello", name, f"key-{name}"] for name in names))
    game.play()  # the ledger has opened the accounts
    return game


def replayed(log: Sequence[bytes], planted: frozenset[str] = frozenset(), config: Config = CONFIG) -> list[str]:
    """Return the digests that a fresh state comes to."""
    state, digests = State(config, planted), []
    for line in log:
        state.step(decode(line[:-1]).inputs)
        digests.append(combined(state.parts()))
    return digests


def ends(game: Game) -> list[str]:
    return [line for _, line in game.pushes if "MATCH" in line]
