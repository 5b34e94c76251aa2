"""Signals become a reason to end, wherever the main thread is when they come."""

from __future__ import annotations

import signal
import threading

import pytest

from chaosctl.runner.stopping import EndedEarlyError, Reason, Stop, signals_stop

pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_for_the_end_and_each_further_one_for_haste(number: signal.Signals) -> None:
    stop, told = Stop(), []
    with signals_stop(stop, told.append, lambda: told.append("again")):
        signal.raise_signal(number)
        assert stop.event.wait(5.0)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert told == [number.name, "again", "again"]
    assert stop.reason == Reason("interrupted", number.name)
    with pytest.raises(EndedEarlyError, match=number.name):
        stop.check()


def test_a_signal_while_the_main_thread_holds_a_lock_that_is_needed_blocks_nothing() -> None:
    stop, lock, told = Stop(), threading.Lock(), []

    def record(name: str) -> None:
        with lock:
            told.append(name)

    with signals_stop(stop, record, lambda: None):
        with lock:
            signal.raise_signal(signal.SIGINT)
        assert stop.event.wait(5.0)
    assert told == ["SIGINT"]


def test_the_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals_stop(Stop(), lambda _: None, lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_reason_counts() -> None:
    stop = Stop()
    stop.check()
    stop.request("crashed", "relay: gone")
    stop.request("interrupted", "SIGINT")
    assert stop.reason == Reason("crashed", "relay: gone")
