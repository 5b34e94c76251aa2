"""The code that stands in for the kernel's is what its source says."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import process_clock
from chaosctl.safety.process_clock import CODE, Shift, home_in, is_shifted, shift_clock
from chaosctl.safety.processes import look
from tests.faults.insides import evaluating, replica_of

SOURCE = Path(__file__).parents[2] / "docs" / "clock.s"


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("objcopy") is None, reason="binutils are not installed")
def test_the_code_is_that_of_its_source(tmp_path: Path) -> None:
    made, code = tmp_path / "clock.o", tmp_path / "clock.bin"
    subprocess.run(["as", "--64", SOURCE, "-o", made], check=True, timeout=10)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, code], check=True, timeout=10)
    assert code.read_bytes() == CODE + bytes(24)


def test_the_code_takes_the_place_of_a_function_or_of_nothing() -> None:
    image = bytes(range(1, 100)) + bytes(901)
    assert home_in(image, 10, 248) == 10
    assert home_in(image, 10, 5) == 752
    for short in ((image[:300], 10, 5), (image, 10, 4), (image, 0, 0)):
        with pytest.raises(NotReadyError, match="another way to read the clock"):
            home_in(*short)


@pytest.mark.e2e
def test_from_behind_the_end_it_works_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    process_clock._places.cache_clear()
    monkeypatch.setattr(process_clock, "home_in", lambda image, value, _: home_in(image, value, 5))
    with replica_of(*evaluating()) as (_, replica, inside):
        process = look(inside.pid)
        assert process is not None
        for shift, wanted_s in ((Shift(time.time_ns(), 50 * 10**9), 50.0), (None, 0.0)):
            assert shift_clock(process, shift)
            assert float(replica.ask("time.time()")) - time.time() == pytest.approx(wanted_s, abs=2.0)
            assert is_shifted(process) == (shift is not None)
    process_clock._places.cache_clear()
