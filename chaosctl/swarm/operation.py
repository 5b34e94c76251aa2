"""One thing that a bot asks for, from its intended time to what became of it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol

from chaosctl.recording.model import Mark, Outcome
from chaosctl.swarm.lines import Cut, Refused, Silent
from chaosctl.swarm.recorder import Recorder

_MARKS = {Outcome.OK: Mark.OK, Outcome.FAIL: Mark.FAIL, Outcome.INFO: Mark.INFO}


class Asker(Protocol):
    """What an operation needs of the bot that asks."""

    name: str
    cohort: str
    recorder: Recorder
    questions_sent: int

    def begin_operation(self) -> int:
        """Return the intended time (monotonic ns) of the operation that begins now."""
        ...

    def end_operation(self, operation: Operation) -> None:
        """See what became of it."""
        ...


class Operation:
    """A context manager: sample and history lines of one operation.

    Mark it with `ok`, `fail` or `info` inside; unmarked is ok. Leaving it by `Refused` is fail (if nothing of it had
    been sent), by `Cut` or `Silent` is info, and these three end here; an explicit mark stands before them. Any other
    exception is info, and goes on.
    """

    def __init__(self, asker: Asker, name: str, f: str | None, key: str | None, value: str | None) -> None:
        self.name = name
        self.outcome: Outcome | None = None
        self.reason = ""
        self.intended_ns = self.sent_ns = 0
        self.end_ns: int | None = None
        self._asker = asker
        self._f = f
        self._key = asker.name if key is None else key
        self._value = value
        self._id = -1
        self._sent_before = 0

    def ok(self, value: Any = None) -> None:
        """It took effect; `value` is what was read, for the history."""
        self._mark(Outcome.OK, "")
        if value is not None:
            self._value = str(value)

    def fail(self, reason: str) -> None:
        """It definitely did not take effect."""
        self._mark(Outcome.FAIL, reason)

    def info(self, reason: str) -> None:
        """Nobody knows whether it took effect."""
        self._mark(Outcome.INFO, reason)

    def _mark(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason

    def __enter__(self) -> Operation:
        """Begin: note the times, and write the invocation."""
        asker = self._asker
        self._sent_before = asker.questions_sent
        self.intended_ns = asker.begin_operation()
        self.sent_ns = time.monotonic_ns()
        if self._f is not None:
            self._id = asker.recorder.next_id()
            self._write(self.sent_ns, Mark.INVOKE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End: settle the outcome, and write the sample and the completion."""
        finished = error is None or isinstance(error, Exception)
        network = isinstance(error, Refused | Cut | Silent)
        self._settle(error)
        if finished:
            self.end_ns = time.monotonic_ns()
        self._record()
        self._asker.end_operation(self)
        return network

    def _settle(self, error: BaseException | None) -> None:
        if self.outcome is not None and (error is None or isinstance(error, Refused | Cut | Silent)):
            return
        if error is None:
            self.ok()
        elif isinstance(error, Refused) and self._asker.questions_sent == self._sent_before:
            self.fail("refused")
        elif isinstance(error, Refused | Cut | Silent):
            self.info(type(error).__name__.lower())
        else:
            self.info(type(error).__name__ if isinstance(error, Exception) else "unfinished")

    def _record(self) -> None:
        asker = self._asker
        assert self.outcome is not None
        asker.recorder.sample(
            self.intended_ns,
            self.sent_ns,
            self.end_ns,
            self.outcome,
            asker.name,
            self.name,
            asker.cohort,
            self.reason,
        )
        # What the end of the load interrupted has no completion: nobody saw it end.
        if self._f is not None and self.end_ns is not None:
            self._write(self.end_ns, _MARKS[self.outcome])

    def _write(self, at_ns: int, mark: Mark) -> None:
        assert self._f is not None
        self._asker.recorder.history(at_ns, mark, self._id, self._asker.name, self._f, self._key, self._value)
