"""Every fault on links, on both relays: its effect is seen when it is there, and only then."""

from __future__ import annotations

import time
from typing import Any

import pytest

from chaosctl.faults.registry import faults

from .conftest import Bench, heal, inject, prove, prove_healed

CASES: list[tuple[str, dict[str, Any]]] = [
    ("latency", {"latency": "60ms", "jitter": "20ms"}),
    ("latency", {"latency": "40ms", "direction": "both"}),
    ("latency", {"latency": "3s", "direction": "up"}),
    ("bandwidth", {"rate": "8KB/s"}),
    ("bandwidth", {"rate": "16KiB/s", "direction": "down"}),
    ("bandwidth", {"rate": "4KB/s", "direction": "up"}),
    ("partition", {}),
    ("partition", {"direction": "up"}),
    ("partition", {"mode": "blackhole", "direction": "down"}),
    ("partition", {"mode": "refuse"}),
    ("partition", {"mode": "reset"}),
    ("slow_close", {"delay": "300ms"}),
    ("slicer", {"average": "4B", "variation": "2B", "delay": "10ms"}),
    ("data_limit", {"size": "50B"}),
    ("data_limit", {"size": "3B", "direction": "up"}),
    ("data_limit", {"size": "2KiB", "direction": "both"}),
]
pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(("name", "written"), CASES, ids=lambda case: str(case))
def test_an_effect_is_proved_while_it_is_there_and_its_absence_after(bench: Bench, name: str, written: Any) -> None:
    fault = faults()[name]
    with bench.place() as place:
        absent = prove(fault, place, written)
        assert not absent.proved, absent.text
        applied = inject(fault, place, written)
        assert applied.called_ns <= applied.returned_ns
        assert applied.targets == ("test-0",)
        began_s = time.monotonic()
        seen = prove(fault, place, written, applied)
        assert seen.proved, seen.text
        still = prove_healed(fault, place, written)
        assert not still.proved, still.text
        # 2 s each by contract; the rest is for a busy machine.
        assert time.monotonic() - began_s < 6
        heal(fault, place, written)
        heal(fault, place, written)
        healed = prove_healed(fault, place, written)
        assert healed.proved, healed.text
        state = place.proxies[0].state()  # type: ignore[attr-defined]
        assert (state["toxics"], state["enabled"]) == ([], True)
