from __future__ import annotations

import threading

from chaosctl.clock import FakeClock, MonotonicClock

MS = 1_000_000


def test_a_moment_is_never_called_early() -> None:
    clock = MonotonicClock()
    for ahead_ms in (0, 1, 5):
        due_ns = clock.now_ns() + ahead_ms * MS
        assert clock.sleep_until(due_ns) is True
        assert clock.now_ns() >= due_ns


def test_a_stop_ends_the_waiting() -> None:
    clock, stop = MonotonicClock(), threading.Event()
    threading.Timer(0.01, stop.set).start()
    began_ns = clock.now_ns()
    assert clock.sleep_until(began_ns + 60_000 * MS, stop) is False
    assert clock.now_ns() - began_ns < 30_000 * MS


def test_a_moment_that_has_passed_is_now_unless_stopped() -> None:
    clock, stop = MonotonicClock(), threading.Event()
    assert clock.sleep_until(0, stop) is True
    stop.set()
    assert clock.sleep_until(0, stop) is False


def test_the_fake_clock_moves_only_when_told() -> None:
    clock, stop = FakeClock(5), threading.Event()
    assert clock.now_ns() == 5
    clock.advance(2)
    assert clock.sleep_until(100) is True
    assert clock.sleep_until(50) is True
    assert clock.now_ns() == 100
    stop.set()
    assert clock.sleep_until(500, stop) is False
    assert clock.now_ns() == 100
