"""The code that stands in for the kernel's is what its source says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chaosctl.safety.process_clock import CODE

SOURCE = Path(__file__).parents[2] / "docs" / "clock.s"


@pytest.mark.skipif(shutil.which("as") is None or shutil.which("objcopy") is None, reason="binutils are not installed")
def test_the_code_is_that_of_its_source(tmp_path: Path) -> None:
    made, code = tmp_path / "clock.o", tmp_path / "clock.bin"
    subprocess.run(["as", "--64", SOURCE, "-o", made], check=True, timeout=10)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, code], check=True, timeout=10)
    assert code.read_bytes() == CODE + bytes(24)
