"""The rules of the arena as a deterministic state machine: a tick's inputs in, replies and pushes out.

No clock, no files, no sockets, no floats, no iteration over sets; every draw comes from a generator in the state. The
same configuration and the same inputs give the same digest at every tick, in any process.

An input is a JSON list:

    ["hello", name, key]              a client opened or resumed a session; `key` is a hash of its token
    ["back", name] ["leave", name]    its gateway has it (again), or has it no more
    ["move", name, n, dx, dy] ["hit", name, n, other] ["chat", name, n, text] ["queue", name, n]
    ["ledger", key, done, balances]   the ledger's answer to the outbox entry `key`
    ["downtime", ms]                  the world was down for so long, as found at its recovery
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from arena import defects, matches
from arena.matches import Match
from arena.planted import InThreads
from arena.ranges import Ranges
from arena.table import Table, canonical, digest_of

SIZE = 1000  # the arena is a square of so many steps
LONGEST_STEP = 10
REACH = 60
FULL_HP = 100
MOST_PLAYERS = 20_000
MOST_GAPS = 1_000  # ranges of action numbers a player may leave open: bounds the state
LARGEST_N = 2**53
CHAT_KEPT = 16

Input = Sequence[Any]


@dataclass(frozen=True)
class Config:
    """What a world is born with; it is the input of tick 0."""

    seed: int
    hz: int = 20
    resume_within_ms: int = 30_000


@dataclass(slots=True)
class Player:
    """One player. `applied` holds the numbers of the actions that took effect, each once.

    `repeated` is what took effect more than once: empty, unless a defect is switched on. `results` are the last
    matches with their ends. `gold` is the balance that the ledger last confirmed.
    """

    name: str
    key: str
    x: int
    y: int
    hp: int = FULL_HP
    score: int = 0
    gold: int = 0
    moved_at: int = 0
    online: bool = True
    match: str = ""
    applied: Ranges = field(default_factory=Ranges)
    repeated: list[int] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-able object; what `from_json` takes."""
        return {
            "name": self.name,
            "key": self.key,
            "x": self.x,
            "y": self.y,
            "hp": self.hp,
            "score": self.score,
            "gold": self.gold,
            "moved_at": self.moved_at,
            "online": self.online,
            "match": self.match,
            "applied": self.applied.pairs,
            "repeated": self.repeated,
            "results": self.results,
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Player:
        """Make it again from `as_json`."""
        kept = {**row, "applied": Ranges(row["applied"]), "results": [(end[0], end[1]) for end in row["results"]]}
        return cls(**kept)

    def seen(self) -> str:
        """Return the numbers that took effect as ranges; a number that did so twice stands there twice."""
        return ",".join([*([str(self.applied)] if self.applied.pairs else []), *map(str, self.repeated)])


@dataclass(slots=True)
class Step:
    """What a tick gave: a reply for each input (None where nobody waits), pushes to players, and what was said."""

    replies: list[str | None]
    pushes: list[tuple[str, str]] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)


class State:
    """The whole world at one tick.

    `consumed` is a chain over all inputs so far: a log in which one was dropped, swapped, repeated or altered shows in
    the digest, even where the rest of the state comes out the same.
    """

    def __init__(self, config: Config, planted: frozenset[str] = frozenset()) -> None:
        self.config = config
        self.planted = planted
        self.tick = 0
        self.rng = config.seed % 2**64
        self.next_match = 1
        self.queue: list[str] = []
        self.chat: list[tuple[str, str]] = []
        self.consumed = ""
        self.players: Table[Player] = Table(Player.as_json)
        self.matches: Table[Match] = Table(asdict)
        self.outbox: Table[dict[str, Any]] = Table(dict)
        self.now = Step([])
        self._threads = InThreads(self._strike) if defects.THREAD_RACE in planted else None

    def step(self, inputs: Sequence[Input]) -> Step:
        """Advance by one tick: apply its inputs in order, then let the matches go on.

        Raises ValueError for an input that no world writes (a log that was tampered with).
        """
        self.tick += 1
        self.consumed = digest_of(self.consumed.encode() + canonical(inputs)).hex()
        self.now = Step([])
        for given in inputs:
            try:
                self.now.replies.append(_INPUTS[given[0]](self, *given[1:]))
            except (KeyError, IndexError, TypeError) as error:
                raise ValueError(f"tick {self.tick} has an input that no world writes: {given!r}") from error
        if self._threads is not None:
            self._threads.finish()
        matches.advance(self)
        return self.now

    def push(self, name: str, line: str) -> None:
        """Tell a player something unasked."""
        self.now.pushes.append((name, f"* {line}"))

    def draw(self, below: int) -> int:
        """Return a number in 0..below-1 from the generator in the state (SplitMix64, Steele et al. 2014)."""
        self.rng = (self.rng + 0x9E3779B97F4A7C15) % 2**64
        z = (self.rng ^ (self.rng >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return (z ^ (z >> 31)) % below

    def _hello(self, name: str, key: str) -> str:
        player = self.players.get(name)
        if player is None:
            if len(self.players) >= MOST_PLAYERS:
                return "ERR the arena is full"
            self.players.put(name, Player(name, key, self.draw(SIZE), self.draw(SIZE)))
            self.outbox.put(f"open:{name}", {"op": "open", "player": name})
            return "fresh"
        if not player.key and defects.LOST_SESSIONS in self.planted:
            player.key = key
            self.players.touch(name)
            self._back(name)
            return "fresh"
        if player.key != key:
            return "ERR that name is taken; give its token"
        self._back(name)
        return "resumed"

    def _back(self, name: str) -> None:
        player = self.players.get(name)
        if player is not None and not player.online:
            player.online = True
            self.players.touch(name)

    def _leave(self, name: str) -> None:
        player = self.players.get(name)
        if player is not None and player.online:
            player.online = False
            self.players.touch(name)
            if name in self.queue:
                self.queue.remove(name)

    def _act(self, name: str, n: int, act: Callable[[State, Player], str | None]) -> str:
        """Let an action numbered `n` take effect once; the same number again is only acknowledged again."""
        player = self.players.get(name)
        if player is None or not player.key:
            return "ERR say HELLO first"
        again = n in player.applied
        if again and defects.DOUBLE_APPLY not in self.planted:
            return f"OK {n} {self.tick}"
        if len(player.applied) >= MOST_GAPS:
            return "ERR too many numbers were left out"
        refusal = act(self, player)
        if refusal is not None:
            return f"ERR {refusal}"
        if again:
            player.repeated.append(n)
        player.applied.add(n)
        player.online = True
        self.players.touch(name)
        return f"OK {n} {self.tick}"

    def _move(self, name: str, n: int, dx: int, dy: int) -> str:
        def act(state: State, player: Player) -> None:
            player.x = min(max(player.x + dx, 0), SIZE - 1)
            player.y = min(max(player.y + dy, 0), SIZE - 1)
            planted = defects.WALL_CLOCK in state.planted
            player.moved_at = time.time_ns() // 1_000_000 if planted else state.tick

        return self._act(name, n, act)

    def _hit(self, name: str, n: int, other: str) -> str:
        def act(state: State, player: Player) -> str | None:
            target = state.players.get(other)
            if target is None:
                return "there is no such player"
            if target is not player:
                (state._strike if state._threads is None else state._threads.add)(player, target)
            return None

        return self._act(name, n, act)

    def _strike(self, player: Player, target: Player) -> None:
        duel = self.matches.get(player.match) if player.match and player.match == target.match else None
        near = abs(player.x - target.x) <= REACH and abs(player.y - target.y) <= REACH
        if duel is None and not near:
            return
        planted = defects.UNSEEDED_RANDOM in self.planted
        damage = 1 + (random.randrange(20) if planted else self.draw(20))
        if duel is not None:
            matches.score(self, duel, player.name, damage)
        target.hp -= damage
        if target.hp <= 0:
            player.score += 1
            target.hp, target.x, target.y = FULL_HP, self.draw(SIZE), self.draw(SIZE)
        self.players.touch(target.name)

    def _chat(self, name: str, n: int, text: str) -> str:
        def act(state: State, player: Player) -> None:
            state.chat = [*state.chat[1 - CHAT_KEPT :], (player.name, text)]
            state.now.said.append((player.name, text))

        return self._act(name, n, act)

    def _queue(self, name: str, n: int) -> str:
        def act(state: State, player: Player) -> None:
            if not player.match and player.name not in state.queue:
                state.queue.append(player.name)

        return self._act(name, n, act)

    def _ledger(self, key: str, done: bool, balances: dict[str, int]) -> None:
        if key not in self.outbox:
            return  # the ledger answers again what was asked again
        self.outbox.drop(key)
        for name, gold in balances.items():
            if (player := self.players.get(name)) is not None:
                player.gold = gold
                self.players.touch(name)
        matches.confirmed(self, key, done)

    def _downtime(self, ms: int) -> None:
        if defects.LOST_SESSIONS in self.planted:
            for player in self.players.rows():
                player.key = ""
                self.players.touch(player.name)
        matches.interrupted(self, ms)

    def parts(self) -> dict[str, str]:
        """Return the digests of the parts of the state."""
        rest = [asdict(self.config), self.tick, self.rng, self.next_match, self.queue, self.chat, self.consumed]
        return {
            "players": self.players.digest(),
            "matches": self.matches.digest(),
            "outbox": self.outbox.digest(),
            "world": digest_of(canonical(rest)).hex(),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the whole state as a JSON-able object; what `from_json` takes."""
        return {
            "config": asdict(self.config),
            "tick": self.tick,
            "rng": self.rng,
            "next_match": self.next_match,
            "queue": list(self.queue),
            "chat": list(self.chat),
            "consumed": self.consumed,
            "players": self.players.as_json(),
            "matches": self.matches.as_json(),
            "outbox": self.outbox.as_json(),
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any], planted: frozenset[str] = frozenset()) -> State:
        """Make a state again. Raises KeyError, TypeError, ValueError where `kept` is not what `as_json` returned."""
        state = cls(Config(**kept["config"]), planted)
        state.tick, state.rng, state.next_match = kept["tick"], kept["rng"], kept["next_match"]
        state.queue = list(kept["queue"])
        state.chat = [(name, text) for name, text in kept["chat"]]
        state.consumed = kept["consumed"]
        for name, row in kept["players"].items():
            state.players.put(name, Player.from_json(row))
        for match_id, row in kept["matches"].items():
            state.matches.put(match_id, Match(**row))
        for key, entry in kept["outbox"].items():
            state.outbox.put(key, entry)
        return state


def combined(parts: dict[str, str]) -> str:
    """Return the digest of a state from the digests of its parts."""
    return digest_of(canonical(parts)).hex()


_INPUTS: dict[str, Callable[..., str | None]] = {
    "hello": State._hello,
    "back": State._back,
    "leave": State._leave,
    "move": State._move,
    "hit": State._hit,
    "chat": State._chat,
    "queue": State._queue,
    "ledger": State._ledger,
    "downtime": State._downtime,
}
