"""The line protocol of the clients, as a person would type it with netcat."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from arena.state import LARGEST_N, LONGEST_STEP, Input, State

LONGEST_LINE = 512
HELP = """\
# HELLO name [token]     open a session, or resume it: WELCOME name fresh|resumed token
# MOVE n dx dy           a step of at most 10 each way; n is a number of yours that is used once
# HIT n name             strike somebody near you, or your opponent in a match
# CHAT n text            say something to those near you
# QUEUE n                wait for a match
#                        these four are answered OK n tick when they are logged and applied, or ERR reason;
#                        the same n again is only acknowledged again
# SEEN                   the numbers of yours that took effect: SEEN 1-340,342
# WHERE                  WHERE x y hp score
# GOLD                   your balance, as the ledger last confirmed it: GOLD 100
# MATCHES                your last matches with their ends, a comma between: m1:settled:ann,m4:rolled_back;
#                        the one that has not ended comes last: m7:open
# PING                   PONG tick, from the world itself
# QUIT                   BYE
# Lines that begin with * come unasked: MATCH id started opponent stake, MATCH id settled winner,
# MATCH id rolled_back, VIEW tick name:x:y:hp ..., CHAT name text, VERSION service release"""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INTEGER = re.compile(r"-?[0-9]{1,16}")


@dataclass(frozen=True)
class Asked:
    """A client's line, understood: an input for the log, or a question about the state, or what is wrong with it.

    A HELLO also carries the `token` to give back.
    """

    given: Input | None = None
    question: Callable[[State], str] | None = None
    error: str | None = None
    token: str | None = None


class BadLineError(ValueError):
    """A line that means nothing; the message goes to the client."""


def parse(player: str | None, line: str) -> Asked:
    """Return what a line of `player` (None before its HELLO was answered) asks for. Never raises."""
    verb, _, rest = line.partition(" ")
    try:
        if verb == "HELLO":
            return _hello(rest)
        if verb not in _ACTIONS and verb not in _QUESTIONS:
            raise BadLineError("unknown command; HELP lists them")
        if player is None:
            raise BadLineError("say HELLO first")
        if verb in _QUESTIONS:
            return Asked(question=lambda state: _answer(state, player, verb))
        return Asked(given=_action(player, verb, rest))
    except BadLineError as error:
        return Asked(error=f"ERR {error}")


def hello_name(line: str) -> str | None:
    """Return the name in a good HELLO line, None for any other."""
    words = line.split()
    good = len(words) in (2, 3) and words[0] == "HELLO" and _NAME.fullmatch(words[1])
    return words[1] if good else None


def action_number(line: str) -> int | None:
    """Return the number of a line that asks for an action, None for any other."""
    verb, number, *_ = [*line.split(), "", ""]
    return int(number) if verb in _ACTIONS and _INTEGER.fullmatch(number) else None


def _hello(rest: str) -> Asked:
    words = rest.split()
    if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _TOKEN.fullmatch(words[1]):
        raise BadLineError("write HELLO name [token]; letters, digits, - and _")
    name, token = words
    key = blake2b(token.encode(), digest_size=16).hexdigest()  # the log need not know the token
    return Asked(given=["hello", name, key], token=token)


def _action(player: str, verb: str, rest: str) -> Input:
    number, _, rest = rest.partition(" ")
    n = _integer(number, 1, LARGEST_N)
    if verb == "MOVE":
        steps = rest.split()
        if len(steps) != 2:
            raise BadLineError("write MOVE n dx dy")
        return ["move", player, n, *(_integer(step, -LONGEST_STEP, LONGEST_STEP) for step in steps)]
    if verb == "HIT":
        if not _NAME.fullmatch(rest):
            raise BadLineError("write HIT n name")
        return ["hit", player, n, rest]
    if verb == "CHAT":
        if not rest:
            raise BadLineError("write CHAT n text")
        return ["chat", player, n, rest]
    if rest:
        raise BadLineError("write QUEUE n")
    return ["queue", player, n]


def _integer(text: str, least: int, most: int) -> int:
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise BadLineError(f"'{text[:20]}' is no whole number from {least} to {most}")
    return int(text)


def _answer(state: State, name: str, verb: str) -> str:
    player = state.players.get(name)
    if player is None:
        return "ERR say HELLO first"
    if verb == "SEEN":
        return f"SEEN {player.seen() or '-'}"
    if verb == "WHERE":
        return f"WHERE {player.x} {player.y} {player.hp} {player.score}"
    if verb == "GOLD":
        return f"GOLD {player.gold}"
    ends = [f"{match_id}:{how.replace(' ', ':')}" for match_id, how in player.results]
    if player.match:
        ends.append(f"{player.match}:open")
    return f"MATCHES {','.join(ends) or '-'}"


_ACTIONS = frozenset({"MOVE", "HIT", "CHAT", "QUEUE"})
_QUESTIONS = frozenset({"SEEN", "WHERE", "GOLD", "MATCHES"})
