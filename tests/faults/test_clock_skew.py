"""A shifted clock: the process says another time of day, its sleeps keep their lengths, and it is right again after the
undo, also for what was forked meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.experiment.units import parse_offset_ns
from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.safety import halting, process_clock
from chaosctl.safety.process_clock import Shift, is_shifted
from tests.faults.boxes import box
from tests.faults.conftest import NOT_APPLIED, inject, params_of, prove, prove_healed
from tests.faults.insides import Replica, evaluating, replica_of
from tests.faults.undoing import undo_elsewhere, undo_of

SKEW = faults()["clock_skew"]
HOUR_S = 3600.0
# One thread more, since all of them have to stand still.
THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
# Reads the clock all the time.
BUSY = "threading.Thread(target=lambda: [time.time() for _ in iter(int, 1)], daemon=True).start()"


def off_s(replica: Replica, expression: str = "time.time()") -> float:
    """Return how far ahead its clock is."""
    before_s = time.time()
    said_s = float(replica.ask(expression))
    return said_s - (before_s + time.time()) / 2


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("offset", "wanted_s", "busy"),
    [("-1h", -HOUR_S, BUSY), ("+36500h", 36500 * HOUR_S, ""), ("700ms", 0.7, "")],
    ids=["behind-and-busy", "years-ahead", "little"],
)
def test_a_clock_is_off_until_the_undo_and_sleeps_keep_their_lengths(offset: str, wanted_s: float, busy: str) -> None:
    written = {"offset": offset}
    with replica_of(*evaluating(THREADED, busy)) as (place, replica, inside):
        undo = SKEW.prepare("f1", place, params_of(SKEW, written))
        assert prove_healed(SKEW, place, written).proved
        assert not prove(SKEW, place, written, NOT_APPLIED).proved
        monotonic_s = float(replica.ask("time.monotonic()")) - time.monotonic()
        applied = inject(SKEW, place, written)
        proof = prove(SKEW, place, written, applied)
        assert proof.proved, proof
        assert "reads the shifted clock; a process that is changed alike" in proof.text
        assert not prove_healed(SKEW, place, written).proved
        assert off_s(replica) == pytest.approx(wanted_s, abs=0.5)
        assert abs(float(replica.ask("time.monotonic()")) - time.monotonic() - monotonic_s) < 1.0
        begin_s = time.monotonic()
        assert replica.ask("time.sleep(0.1)") == "None"
        assert 0.1 <= time.monotonic() - begin_s < 10.0
        assert replica.ask("os.fork() and 1 or time.sleep(60)") == "1"
        assert [is_shifted(one) for one in inside.members()] == [True, True]
        assert "put right the clocks of 2 processes" in undo_elsewhere(undo)
        assert off_s(replica) == pytest.approx(0.0, abs=0.5)
        assert [is_shifted(one) for one in inside.members()] == [False, False]
        assert prove_healed(SKEW, place, written).proved
        assert not prove(SKEW, place, written, applied).proved
        assert "nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
@pytest.mark.parametrize("drift", [3.0, 0.25])
def test_a_clock_that_drifts_is_off_by_more_and_more_and_never_goes_back(drift: float) -> None:
    written = {"drift": drift}
    with replica_of(*evaluating()) as (place, replica, _):
        undo = SKEW.prepare("f1", place, params_of(SKEW, written))
        begin_s = time.time()
        applied = inject(SKEW, place, written)
        assert prove(SKEW, place, written, applied).proved
        replica.ask("time.sleep(0.3)")
        elapsed_s = time.time() - begin_s
        assert off_s(replica) == pytest.approx(elapsed_s * (drift - 1), abs=0.1 * max(1.0, drift))
        assert replica.ask("all(a <= b for a, b in [(time.time_ns(), time.time_ns()) for _ in range(1000)])") == "True"
        undo_elsewhere(undo)
        assert off_s(replica) == pytest.approx(0.0, abs=0.5)


@pytest.mark.e2e
def test_every_way_to_ask_for_the_time_of_day_is_told_the_same() -> None:
    ways = (
        "time.clock_gettime(time.CLOCK_REALTIME)",
        "time.clock_gettime(5)",
        "time.clock_gettime(11)",
        "libc.time(None)",
        "libc.gettimeofday(day, None) or day[0] + day[1] / 1e6",
        "libc.gettimeofday(day, zone) or day[0] + day[1] / 1e6",
    )
    setting = (
        "import ctypes; libc = ctypes.CDLL(None)",
        "libc.time.restype = ctypes.c_long; libc.time.argtypes = [ctypes.c_void_p]",
        "day, zone = (ctypes.c_long * 2)(), (ctypes.c_int * 2)()",
    )
    with replica_of(*evaluating(*setting)) as (place, replica, _):
        true = [off_s(replica, way) for way in ways]
        inject(SKEW, place, {"offset": "-90s"})
        for way, before_s in zip(ways, true, strict=True):
            assert off_s(replica, way) - before_s == pytest.approx(-90, abs=1.5), way
        # The kernel refuses what is no clock, and so it is here.
        assert replica.ask("time.clock_gettime(99)") == "EINVAL"


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_in_a_container_too_without_any_tool_of_its_image(tmp_path: Path) -> None:
    with box(tmp_path) as running:
        written = {"offset": "-1h"}
        undo = undo_of("clock_skew", running, **written)
        applied = inject(SKEW, running.place, written)
        assert prove(SKEW, running.place, written, applied).proved
        assert running.answer() == "answered"
        assert not prove_healed(SKEW, running.place, written).proved
        # Also while it is paused.
        (process,) = running.place.processes
        process.freeze()
        undo_elsewhere(undo)
        assert prove_healed(SKEW, running.place, written).proved
        inject(SKEW, running.place, written)
        assert not prove_healed(SKEW, running.place, written).proved
        undo_elsewhere(undo)
        process.thaw()
        assert prove_healed(SKEW, running.place, written).proved
        assert running.answer() == "answered"
        assert running.driver.down() == ()
        assert "has ended: nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
def test_what_cannot_be_changed_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with replica_of(*evaluating()) as (place, replica, _):
        with monkeypatch.context() as patched:
            patched.setattr(halting.platform, "machine", lambda: "riscv64")
            with pytest.raises(NotReadyError, match="known for x86-64 only, and this machine is riscv64"):
                inject(SKEW, place, {"offset": "1h"})
            assert SKEW.kind.lacks is not None
            assert "machine is riscv64" in (SKEW.kind.lacks() or "")
        assert SKEW.kind.lacks() is None
        with monkeypatch.context() as patched:
            patched.setattr(process_clock, "_original", lambda: b"another page")
            patched.setattr(process_clock, "_places", lambda: {process_clock._HOME: 0})
            with pytest.raises(NotReadyError, match="is no 64-bit program, or somebody else"):
                inject(SKEW, place, {"offset": "1h"})
        assert off_s(replica) == pytest.approx(0.0, abs=0.5)
        replica.end()
        with pytest.raises(NotReadyError, match="is down"):
            inject(SKEW, place, {"offset": "1h"})
    assert not prove_healed(SKEW, Place("world"), {"offset": "1h"}).proved


def test_what_a_shifted_clock_shows_is_known() -> None:
    shift = Shift(1_000_000_000_000, -5, 1.5)
    assert [shift.at(1_000_000_000_000 + later) for later in (0, 1000)] == [999_999_999_995, 1_000_000_001_495]


@pytest.mark.parametrize(
    ("written", "ns"), [("-1h", -3600 * 10**9), ("+30s", 30 * 10**9), ("500ms", 5 * 10**8), ("-1m30s", -90 * 10**9)]
)
def test_an_offset_has_a_sign_and_a_unit(written: str, ns: int) -> None:
    assert parse_offset_ns(written) == ns
