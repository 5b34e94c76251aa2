"""The scheduled questions: a fixed cadence that no answer, slow or missing, can shift."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chaosctl.clock import MonotonicClock
from chaosctl.exchange import Exchange, exchange
from chaosctl.experiment.model import Hello
from chaosctl.recording.model import Outcome

OUTSTANDING_AT_MOST = 128
NO_END_NS = -1


@dataclass(frozen=True)
class Question:
    """One scheduled question; `intended_ns` is monotonic."""

    route: str
    replica: int
    address: str
    intended_ns: int


@dataclass(frozen=True)
class Answered:
    """What became of it; times are monotonic, `end_ns` is -1 where no end was seen."""

    question: Question
    sent_ns: int
    end_ns: int
    outcome: Outcome
    error: str


def outcome_of(met: Exchange) -> tuple[Outcome, str]:
    """Return how an exchange counts: silence may have been an answer that is still to come, the rest is certain."""
    if met.outcome == "answered":
        return Outcome.OK, ""
    return (Outcome.INFO if met.outcome == "silent" else Outcome.FAIL), met.outcome


def grid(origin_ns: int, every_ns: int, now_ns: int) -> Iterator[int]:
    """Yield the multiples of `every_ns` from `origin_ns` that lie after `now_ns`, for ever."""
    first = (now_ns - origin_ns) // every_ns + 1
    return (origin_ns + number * every_ns for number in itertools.count(first))


class Route:
    """The questions of one route. `on_answered` is called from its threads, once for each scheduled question."""

    def __init__(
        self,
        name: str,
        addresses: tuple[str, ...],
        hello: Hello,
        timeout_ns: int,
        on_answered: Callable[[Answered], None],
    ) -> None:
        self._name = name
        self._addresses = addresses
        self._hello = hello
        self._timeout_s = timeout_ns / 1e9
        self._on_answered = on_answered
        self._outstanding: set[Question] = set()
        self._lock = threading.Lock()
        self._asked = 0
        self._ended = False
        self._pool = ThreadPoolExecutor(OUTSTANDING_AT_MOST, thread_name_prefix=f"probe {name}")

    def ask(self, intended_ns: int) -> None:
        """Ask the replica whose turn it is; returns at once. With too many unanswered, it is recorded as skipped."""
        replica = self._asked % len(self._addresses)
        self._asked += 1
        question = Question(self._name, replica, self._addresses[replica], intended_ns)
        with self._lock:
            full = len(self._outstanding) >= OUTSTANDING_AT_MOST
            if not full:
                self._outstanding.add(question)
        if full:
            self._on_answered(Answered(question, time.monotonic_ns(), NO_END_NS, Outcome.INFO, "skipped"))
        else:
            self._pool.submit(self._ask, question)

    def _ask(self, question: Question) -> None:
        met = exchange(question.address, self._hello, self._timeout_s)
        outcome, error = outcome_of(met)
        with self._lock:
            if self._ended:
                return
            self._outstanding.discard(question)
            self._on_answered(Answered(question, met.sent_ns, met.end_ns, outcome, error))

    def end(self) -> None:
        """Give up what is outstanding: it is recorded without an end. Nothing is called back afterwards."""
        with self._lock:
            self._ended = True
            left = sorted(self._outstanding, key=lambda question: question.intended_ns)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for question in left:
            self._on_answered(Answered(question, question.intended_ns, NO_END_NS, Outcome.INFO, "unfinished"))


def keep_asking(routes: tuple[Route, ...], origin_ns: int, every_ns: int, stop: threading.Event) -> None:
    """Ask through each route at every point of the grid, until `stop`. A late start of a question shifts no other."""
    clock = MonotonicClock()
    for intended_ns in grid(origin_ns, every_ns, clock.now_ns()):
        if not clock.sleep_until(intended_ns, stop):
            return
        for route in routes:
            route.ask(intended_ns)
