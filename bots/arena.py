"""Bots that play the arena (experiments/arena) over its line protocol.

Every action carries a number that the bot uses once and never again, whatever became of it. So at the end the
numbers that the world says took effect (`SEEN`) tell what was kept of what was acknowledged, and what was done twice.
"""

from __future__ import annotations

import math
import time
from typing import Any

from chaosctl.swarm.bot import Bot, Operation, Refused

# How often each action is chosen, in percent; "seen" reads back.
WEIGHTS = {"move": 45, "hit": 25, "queue": 15, "chat": 10, "seen": 5}
WORDS = ("well", "played", "come", "here", "again", "no", "mercy", "lag")
# The world forgot the session; or an earlier HELLO of the same player, sent in an outage, arrived after the last one.
NO_SESSION = ("ERR say HELLO first", "ERR this session was resumed elsewhere")
ENDS = ("settled", "rolled_back")
ENDS_KEPT = 8
# A match lasts 3 s: one that goes on for longer than this is asked about, and then again and again.
OVERDUE_S = 6.0
ASK_AGAIN_S = 2.0


class Player(Bot):
    """One player: moves, strikes whom it sees, waits for matches, talks."""

    rate_per_s = 2.0

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self._token = f"{self.random.getrandbits(64):016x}"
        self._number = 0
        self._connections = 0
        self._welcomed = False
        self._neighbours: list[str] = []
        self._opponent: str | None = None
        self._open_matches: dict[str, float] = {}  # when to ask about each, in seconds of the monotonic clock
        self._ends: dict[str, str] = {}

    def on_connected(self) -> None:
        """Open the session, or resume it with the token, and learn what became of matches in the meantime."""
        self._connections += 1
        reply = self.ask(f"HELLO {self.name} {self._token}")
        words = reply.split()
        if len(words) != 4 or words[0] != "WELCOME":
            self.hang_up("cut")
            raise Refused(f"HELLO was answered: {reply}")
        if self._connections > 1:
            # Without a welcome so far there was nothing to lose: the first HELLO may not have arrived.
            self.session("lost" if self._welcomed and words[2] == "fresh" else "resumed")
        self._welcomed = True
        if self._open_matches:
            self._follow_up()
        if self._connections > 1:
            self._read_back()

    def turn(self) -> None:
        """Do one thing, chosen by chance; but ask first about a match that should be over."""
        if min(self._open_matches.values(), default=math.inf) <= time.monotonic():
            with self.operation("matches"):
                self._follow_up()
            return
        (action,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if action == "seen":
            self._read_back()
            return
        self._number += 1
        self._act(action, self._number)

    def audit(self) -> None:
        """Read back which actions took effect, and how the matches ended."""
        self._read_back()
        if self._open_matches:
            with self.operation("matches") as operation:
                if self._follow_up():
                    operation.fail("a match is still open")  # so that the audit asks again

    def is_push(self, line: str) -> bool:
        """Pushes begin with a star."""
        return line.startswith("* ")

    def on_push(self, line: str) -> None:
        """Remember who is near, and follow the matches."""
        _, kind, *words = line.split()
        if kind == "VIEW":
            self._neighbours = [sight.partition(":")[0] for sight in words[1:]]
        elif kind == "VERSION" and len(words) == 2:
            self.served_by(*words)
        elif kind == "MATCH" and len(words) >= 2:
            self._match(words[0], words[1], words[2:])

    def _read_back(self) -> None:
        with self.operation("seen", f="read", key=self.name) as operation:
            reply = self.ask("SEEN")
            words = reply.split()
            if len(words) == 2 and words[0] == "SEEN":
                operation.ok("" if words[1] == "-" else words[1])
            else:
                operation.info("odd answer")
                self._open_again(reply)

    def _act(self, action: str, number: int) -> None:
        line = self._line(action, number)
        with self.operation(action, f="add", key=self.name, value=number) as operation:
            self._judge(operation, number, self.ask(line))

    def _judge(self, operation: Operation, number: int, reply: str) -> None:
        words = reply.split()
        if words[:2] == ["OK", str(number)]:
            operation.ok()
        elif words[:1] == ["ERR"]:
            operation.fail(reply)
            self._open_again(reply)
        else:
            operation.info("odd answer")

    def _open_again(self, reply: str) -> None:
        """Where the session is gone, let the next operation connect and open it again."""
        if reply in NO_SESSION:
            self.hang_up("cut")

    def _line(self, action: str, number: int) -> str:
        targets = [self._opponent] if self._opponent else self._neighbours
        if action == "hit" and targets:
            return f"HIT {number} {self.random.choice(targets)}"
        if action == "queue":
            return f"QUEUE {number}"
        if action == "chat":
            return f"CHAT {number} {' '.join(self.random.choices(WORDS, k=3))}"
        return f"MOVE {number} {self.random.randint(-10, 10)} {self.random.randint(-10, 10)}"

    def _match(self, match: str, what: str, rest: list[str]) -> None:
        if what == "started" and match not in self._open_matches and match not in self._ends:
            self._open_matches[match] = time.monotonic() + OVERDUE_S
            self._opponent = rest[0] if rest else None
            self.event(match, "started")
        elif what in ENDS and match in self._open_matches:
            del self._open_matches[match]
            self._opponent = None
            self._ended(match, what)
        elif what in ENDS and self._ends.get(match, what) != what:
            self._ended(match, what)  # once more, and differently

    def _ended(self, match: str, how: str) -> None:
        self._ends[match] = how
        while len(self._ends) > ENDS_KEPT:
            del self._ends[next(iter(self._ends))]
        self.event(match, how)

    def _follow_up(self) -> list[str]:
        """Ask for the ends of matches whose pushes were missed: `MATCHES m1:settled:near-3,m4:rolled_back,m7:open`.

        Return those that still go on. One of which the world knows nothing is `absent`.
        """
        words = self.ask("MATCHES").split()
        if len(words) != 2 or words[0] != "MATCHES":
            return []
        told = [line.split(":") for line in words[1].split(",")]
        for match, *how in told:
            self._match(match, how[0] if how else "", [])
        going_on = [match for match in self._open_matches if [match, "open"] in told]
        for match, due_s in self._open_matches.items():
            if match in going_on:
                self.event(match, "open")
                self._open_matches[match] = time.monotonic() + ASK_AGAIN_S
            elif due_s < math.inf:
                self.event(match, "absent")
                self._open_matches[match] = math.inf  # it is not asked about again, but an end of it is still heard
        return going_on
