from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.model import Stage
from chaosctl.plan.build import build_plan
from chaosctl.plan.table import in_words, plan_rows, strip

S = 1_000_000_000


def test_rows_say_what_happens_when(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    plan = build_plan(loaded(stages=(Stage(at_ns=20 * S, users=30),)), 7, faults)
    assert plan_rows(plan) == (
        ("0", "users", "bots-gateway", "10 users", "2s"),
        ("2s", "baseline", "", "load without faults", "7s"),
        ("7s", "f1-latency", "gateway-world", "latency 80ms", "13s"),
        ("19s", "f2-kill", "world", "", ""),
        ("20s", "users", "bots-gateway", "30 users", ""),
        ("47s", "heal all", "", "every fault, then the end", ""),
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"latency_ns": 80_000_000, "jitter_ns": 20_000_000}, "latency 80ms, jitter 20ms"),
        ({"latency_ns": 80_000_000, "jitter_ns": 0}, "latency 80ms"),
        ({"rate_bytes_per_s": 0}, "rate 0B/s"),
        ({"rate_bytes_per_s": 65536, "direction": "both"}, "rate 64KiB/s, direction both"),
        ({"after_bytes": 1000, "at_per_s": 2.0}, "after 1000B, at 2/s"),
        ({"hard": True, "soft": False, "only": ["a", "b"], "none": None, "empty": ""}, "hard, only a, b"),
        ({}, ""),
    ],
)
def test_parameters_in_words(params: dict[str, object], words: str) -> None:
    assert in_words(params) == words


def test_the_strip_at_40_columns(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    lines = strip(build_plan(loaded(), 7, faults), 40)
    assert lines == (
        "load          ░▒▒▓▓▓▓▓▓ timeline ▓▓▓▓▓▓▓",
        "f1-latency g…    ████▎",
        "f2-kill world           ◆",
        "              0s   10s   20s  30s   40s",
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), width=st.integers(40, 200))
def test_the_strip_keeps_its_width_and_shows_every_fault(
    data: st.DataObject, width: int, experiments: st.SearchStrategy[Loaded], faults: FaultKinds
) -> None:
    plan = build_plan(data.draw(experiments), 1, faults)
    lines = strip(plan, width)
    assert len(lines) == len(plan.faults) + 2
    assert max(map(len, lines)) <= width
    for line, fault in zip(lines[1:-1], plan.faults, strict=True):
        marks = "◆" if fault.heal_ns is None else "▏▎▍▌▋▊▉█"
        assert any(mark in line for mark in marks)
    assert lines[-1].strip().startswith("0s")
    assert lines[-1].count("s") >= 2
