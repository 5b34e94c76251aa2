"""What a timeline item may say, and the sentence that it gets for anything else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.shape import validate
from chaosctl.faults.bandwidth import BYTES_PER_KB, ROUNDING, to_kb
from chaosctl.faults.registry import faults

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("latency", {"latency": "1500us"}, "1.5ms is not a whole number of milliseconds; write 2ms"),
    ("latency", {"latency": "0ms"}, "write at least 1ms"),
    ("latency", {"latency": 80}, "80ms"),
    ("latency", {"latency": "2h"}, "write at most 60m"),
    ("latency", {"latency": "10ms", "jitter": "20ms"}, "jitter is more than latency"),
    ("latency", {"latency": "10ms", "direction": "left"}, "down"),
    ("latency", {"latncy": "10ms"}, "did you mean 'latency'?"),
    ("bandwidth", {"rate": "500B/s"}, "write at least 1KB/s"),
    ("bandwidth", {"rate": "1500B/s"}, "write 2KB/s"),
    ("bandwidth", {}, "'rate' is missing"),
    ("partition", {"mode": "reset", "direction": "up"}, "leave out direction"),
    ("partition", {"mode": "refuse", "direction": "down"}, "leave out direction"),
    ("partition", {"mode": "blckhole"}, "did you mean 'blackhole'?"),
    ("slicer", {"average": "4B", "variation": "4B", "delay": "1ms"}, "variation is not less than average"),
    ("slicer", {"average": "0B", "delay": "1ms"}, "write at least 1B"),
    ("slicer", {"average": "4B", "delay": "1500ns"}, "1.5µs is not a whole number of microseconds"),
    ("data_limit", {"size": "0B"}, "write at least 1B"),
    ("slow_close", {"delay": "0ms"}, "write at least 1ms"),
    ("restart", {"grace": "5m"}, "write at most 1m"),
    ("kill", {"signal": "TERM"}, "there is: SIGABRT"),
    ("loss", {}, "'share' is missing"),
    ("loss", {"share": "0.5%"}, "write at least"),
    ("loss", {"share": "120%"}, "at most"),
    ("loss", {"share": "20%", "direction": "up"}, "in"),
    ("block", {"mode": "refuse"}, "reject"),
    ("block", {"port": 7000}, "is not text"),
    ("freeze", {}, "'process' is missing"),
    ("freeze", {"process": ""}, "at least 1 character"),
    ("freeze", {"process": "nginx", "pick": "any"}, "oldest"),
    ("fill_fds", {"leave": -1}, "write at least 0"),
    ("fill_fds", {"leave": True}, "is not a whole number"),
    ("clock_skew", {}, "give offset, drift or both"),
    ("clock_skew", {"offset": "0s"}, "give offset, drift or both"),
    ("clock_skew", {"offset": "1"}, "write it as +30s, -1h or 500ms"),
    ("clock_skew", {"offset": "--1h"}, "write it as +30s, -1h or 500ms"),
    ("clock_skew", {"offset": "-90000h"}, "write at least"),
    ("clock_skew", {"drift": 0}, "write at least"),
    ("dns", {"mode": "slow"}, "mode slow needs delay"),
    ("dns", {"mode": "wrong", "name": "world"}, "mode wrong needs address"),
    ("dns", {"delay": "1s"}, "mode fail has no delay; leave it out"),
    ("dns", {"mode": "wrong", "name": "a b", "address": "1.2.3.4"}, "'a b'"),
    ("dns", {"mode": "wrong", "name": "a", "address": "1.2.3.4\n0.0.0.0 b"}, "1.2.3.4"),
    ("dns", {"mode": "slow", "delay": "1m"}, "write at most 30s"),
    ("cpu", {"cores": 0}, "write at least"),
    ("cpu", {}, "nothing would happen; write cores"),
    ("memory", {"limit": "5MiB"}, "write at least 6"),
    ("memory", {"limit": 64}, "64"),
    ("disk_full", {"leave": "1"}, "is not a size"),
    ("disk_slow", {}, "give either rate: 1MiB/s or operations: 20"),
    ("disk_slow", {"rate": "1MiB/s", "operations": 20}, "give either rate"),
    ("disk_slow", {"rate": "1KiB/s"}, "write at least"),
    ("io_errors", {"mode": "read_only"}, "unknown key 'mode'"),
    ("deploy", {}, "give run: [...], env: {...} or image: NAME"),
    ("deploy", {"run": []}, "write at least 1"),
    ("deploy", {"rnu": ["x"]}, "did you mean 'run'?"),
    ("deploy", {"env": {"A": "1"}, "version": True}, "is not text"),
    ("rollback", {"version": "2"}, "unknown key 'version'"),
]


@pytest.mark.parametrize(("name", "written", "sentence"), REFUSED, ids=str)
def test_what_cannot_be_done_is_refused_with_the_mend(name: str, written: dict[str, Any], sentence: str) -> None:
    params, complaints = validate(faults()[name].kind.params, written, ())
    assert params is None
    assert len(complaints) == 1
    assert sentence in complaints[0].text


@given(st.integers(min_value=1, max_value=10**12 - 1))
def test_a_rate_becomes_whole_kilobytes_or_is_refused(rate: int) -> None:
    params, complaints = validate(faults()["bandwidth"].kind.params, {"rate": f"{rate}B/s"}, ())
    off = abs(to_kb(rate) * BYTES_PER_KB - rate)
    accepted = rate >= BYTES_PER_KB and off <= ROUNDING * rate
    assert (params is not None) == accepted
    assert accepted != bool(complaints)
