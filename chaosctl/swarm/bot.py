"""The base class of bots that speak lines over TCP: open-loop, seeded, and honest about what became of each operation.

    class Player(Bot):
        rate_per_s = 2.0

        def turn(self) -> None:
            with self.operation("buy", f="add", key=self.name, value="17") as operation:
                if not self.ask("BUY 17").startswith("OK"):
                    operation.fail("not for sale")

There are no hidden retries: a connection that cannot be had is an operation that failed, and the next operation
tries another address.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import locust

from chaosctl.exchange import split_address
from chaosctl.recording.model import Mark, Outcome
from chaosctl.swarm.lines import Cut, Lines, Refused, Silent
from chaosctl.swarm.operation import Operation
from chaosctl.swarm.pace import Pace
from chaosctl.swarm.recorder import Recorder

__all__ = ["Bot", "Cut", "Operation", "Refused", "Silent"]

# Marks the events of bots for the listener that records ordinary users.
RECORDED = {"chaosctl": "recorded"}


class Bot(locust.User):  # type: ignore[misc]  # locust is untyped here: it must not be imported where mypy looks
    """One bot. Override `turn`, and what else is needed of `on_connected`, `audit`, `is_push`, `on_push`.

    Set before it starts: `name`, `cohort`, `options` (from the experiment), `addresses` (`host:port`), and `random`,
    its own source: draw from nothing else, and the same seed gives the same bot.
    """

    abstract = True
    rate_per_s: float = 1.0
    timeout_s: float = 2.0
    line_end: str = "\n"

    name: str
    cohort: str
    random: random.Random
    options: Mapping[str, Any]
    addresses: tuple[str, ...]

    # For the launcher: set before __init__, like those above.
    recorder: Recorder
    seed: str

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.questions_sent = 0
        self.failed_operations = 0
        self._connection: Lines | None = None
        self._connected_before = False
        self._address_draws = random.Random(f"{self.seed}:address")
        self._address = ""
        self._answered = False
        self._pace: Pace | None = None
        self._open_operations = 0
        self._served_by: dict[str, str] = {}
        self._intended_ns: int | None = None
        self._previous_end_ns: int | None = None

    # What a bot overrides.

    def turn(self) -> None:
        """Act once. Called at `rate_per_s`, each time at or after its intended time."""
        raise NotImplementedError(f"{type(self).__name__} has no turn(self)")

    def on_connected(self) -> None:
        """Greet the server, after each connection; after the first one, say `self.session("resumed")` or `"lost"`."""

    def audit(self) -> None:
        """After the load, read back what was promised. Called again, a few times, while an operation in it fails."""

    def is_push(self, line: str) -> bool:
        """Say whether a line came unasked, and is no answer."""
        return False

    def on_push(self, line: str) -> None:
        """See a line that came unasked: a push, or anything that came while no answer was awaited."""

    # What a bot uses.

    def operation(self, name: str, f: str | None = None, key: str | None = None, value: Any = None) -> Operation:
        """Return a context manager that records what is asked in it; with `f`, in the history too.

        `key` is the bot's name if left out; `f` and the values have the vocabulary of `recording.model.History`.
        """
        return Operation(self, name, f, key, None if value is None else str(value))

    def ask(self, line: str) -> str:
        """Send a line and return the next one that is no push. Raises Refused, Cut, Silent."""
        self.tell(line)
        return self.read_line()

    def tell(self, line: str) -> None:
        """Connect if need be, and send a line. Raises Refused, Cut, Silent."""
        connection = self._ready_connection()
        self.questions_sent += 1
        try:
            connection.send(line, self.timeout_s)
        except (Cut, Silent):
            self.hang_up("cut")
            raise

    def read_line(self) -> str:
        """Return the next line that is no push, in `timeout_s`. Raises Cut, Silent; both end the connection.

        After a silence it is ended since a late answer would be taken for the next one.
        """
        if self._connection is None:
            raise Cut("not connected")
        deadline_s = time.monotonic() + self.timeout_s
        try:
            while self.is_push(line := self._connection.read(deadline_s)):
                self.on_push(line)
        except (Cut, Silent):
            self.hang_up("cut")
            raise
        self._answered = True
        return line

    def session(self, value: str, key: str | None = None) -> None:
        """Journal the state of a session: `open`, `cut`, `resumed`, `lost`, `closed`; `key` is its name."""
        self._note("session", self.name if key is None else key, value)

    def event(self, id: str, value: str) -> None:
        """Journal the life of the game event `id`: `started`, `settled`, `rolled_back`, or what was answered
        about one that did not end: `open`, `absent`."""
        self._note("event", id, value)

    def served_by(self, service: str, version: str) -> None:
        """Journal which version of `service` answers this bot from now on; said again, it is not journaled again."""
        if self._served_by.get(service) != version:
            self._served_by[service] = version
            self._note("version", service, version)

    def received(self, stream: str, element: int) -> None:
        """Journal that an element of a stream reached this bot, in the order in which it gets them."""
        self._note("receive", stream, str(element))

    def _note(self, f: str, key: str, value: str) -> None:
        self.recorder.history(time.monotonic_ns(), Mark.OK, self.recorder.next_id(), self.name, f, key, value)

    # The connection.

    def _ready_connection(self) -> Lines:
        if self._connection is not None:
            self._take_pushes(0.0)
        if self._connection is None:
            self._connect()
        # A connection can end while it is greeted on.
        if self._connection is None:
            raise Refused("the connection ended while it was being set up")
        return self._connection

    def _connect(self) -> None:
        self._address = self._address or self._address_draws.choice(self.addresses)
        host, port = split_address(self._address)
        try:
            self._connection = Lines(host, port, self.timeout_s, self.line_end)
        except Refused:
            self._choose_another_address()
            raise
        self._answered = False
        if not self._connected_before:
            self._connected_before = True
            self.session("open")
        self._greet()

    def _choose_another_address(self) -> None:
        others = [address for address in self.addresses if address != self._address]
        self._address = self._address_draws.choice(others) if others else self._address

    def _greet(self) -> None:
        # What is asked in greeting belongs to no operation that only happens to need the connection.
        sent_before = self.questions_sent
        try:
            self.on_connected()
        except (Refused, Cut, Silent) as error:
            raise Refused(f"the connection ended while it was being set up: {error}") from error
        except Exception:
            self.hang_up("cut")
            raise
        finally:
            self.questions_sent = sent_before

    def _take_pushes(self, within_s: float) -> None:
        """Hand over what came unasked, waiting for it at most `within_s`; notice a connection that ended."""
        assert self._connection is not None
        try:
            lines = self._connection.waiting(within_s)
        except Cut:
            self.hang_up("cut")
            return
        self._answered = self._answered or bool(lines)
        for line in lines:
            self.on_push(line)

    def hang_up(self, session: str) -> None:
        """End the connection, if there is one, and journal it as `cut` or `closed`."""
        if self._connection is not None:
            # A relay accepts for a server that is dead: what never answered counts as an address that failed.
            if not self._answered:
                self._choose_another_address()
            self._connection.close()
            self._connection = None
            self.session(session)

    # Pacing. Locust runs tasks and waits in between; the task is a turn, the waiting is until the next one is due.

    def on_start(self) -> None:
        """Fix the cadence."""
        self._pace = Pace(self.rate_per_s, self.seed, time.monotonic_ns())

    @locust.task  # type: ignore[untyped-decorator]
    def paced_turn(self) -> None:
        """Take one turn, if one is due."""
        assert self._pace is not None
        if time.monotonic_ns() < self._pace.due_ns:
            return
        self._intended_ns = self._pace.take()
        self._previous_end_ns = None
        began_ns = time.monotonic_ns()
        try:
            self.turn()
        except (Refused, Cut, Silent) as error:
            # Outside of any operation: what the bot did not record is not to be lost.
            outcome = Outcome.FAIL if isinstance(error, Refused) else Outcome.INFO
            reason = type(error).__name__.lower()
            ended_ns = time.monotonic_ns()
            self.recorder.sample(began_ns, began_ns, ended_ns, outcome, self.name, "turn", self.cohort, reason)

    def wait_time(self) -> float:
        """Listen for pushes until the next turn is due; return what is left to wait, in seconds."""
        assert self._pace is not None
        while (left_s := (self._pace.due_ns - time.monotonic_ns()) / 1e9) > 0 and self._connection is not None:
            try:
                self._take_pushes(left_s)
            except Exception as error:  # noqa: BLE001  # Locust ends a user whose waiting raises
                self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
        return max(0.0, left_s)

    # What an operation needs (`operation.Asker`).

    def begin_operation(self) -> int:
        """Return when the operation that begins now was meant to begin.

        The first one of a turn: when the turn was; a later one: when the one before ended; one within another: now.
        """
        intended_ns = self._intended_ns or self._previous_end_ns or time.monotonic_ns()
        if self._open_operations:
            intended_ns = time.monotonic_ns()
        else:
            self._intended_ns = None
        self._open_operations += 1
        return intended_ns

    def end_operation(self, operation: Operation) -> None:
        """Count it, and tell Locust's own statistics (which know service times only)."""
        self._open_operations -= 1
        if operation.outcome is not Outcome.OK:
            self.failed_operations += 1
        if operation.end_ns is None:
            self.hang_up("closed")  # the load ended in mid-question: an answer to come would be taken for another
            return
        self._previous_end_ns = operation.end_ns
        self.environment.events.request.fire(
            request_type="bot",
            name=operation.name,
            response_time=(operation.end_ns - operation.sent_ns) / 1e6,
            response_length=0,
            exception=None if operation.outcome is Outcome.OK else operation.reason,
            context=RECORDED,
        )

    def expect_no_turn(self) -> None:
        """Operations from now on are meant to begin when they do (the audit has no cadence)."""
        self._intended_ns = self._previous_end_ns = None
