"""Wrong versions of what the rules do, each chosen by its flag; see defects.py."""

from __future__ import annotations

import contextlib
import locale
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Generic, ParamSpec

SYSTEM_CALLS = 8  # of a strike: enough for the order of two to be as good as tossed

Blow = ParamSpec("Blow")


class InThreads(Generic[Blow]):
    """The planted defect `thread-race`: the strikes of a tick are shared out to two threads, in any order."""

    def __init__(self, strike: Callable[Blow, None]) -> None:
        self._strike = strike
        self._waiting: list[Callable[[], None]] = []

    def add(self, *blow: Blow.args, **named: Blow.kwargs) -> None:
        """Take up a strike; it is done at the end of the tick."""
        self._waiting.append(lambda: self._strike(*blow, **named))

    def finish(self) -> None:
        """Do what was taken up."""
        waiting, self._waiting = self._waiting, []
        list(_threads().map(_work, (waiting[::2], waiting[1::2])))


def _work(strikes: Sequence[Callable[[], None]]) -> None:
    for strike in strikes:
        for _ in range(SYSTEM_CALLS):
            time.sleep(0)  # gives way to the other thread, as any system call does
        strike()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def points_a_second(points: int, lasted_s: int) -> str:
    """The planted defect `locale-format`: a number is written as people do where the process's locale says it runs."""
    _take_up_locale()
    return locale.format_string("%.1f", points / lasted_s)


@cache
def _take_up_locale() -> None:
    with contextlib.suppress(locale.Error):  # not installed here
        locale.setlocale(locale.LC_ALL, "")
