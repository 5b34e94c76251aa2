"""Limits of real containers: the kernel counts what they cost, and no more after the undo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import limits, processes
from chaosctl.faults.contract import Place
from chaosctl.faults.processes import wait_until
from chaosctl.faults.registry import faults
from tests.faults.boxes import Box, box
from tests.faults.conftest import inject, prove, prove_healed
from tests.faults.undoing import undo_elsewhere, undo_of

BUSY = ("perl", "-e", "$end = time + 2; 1 while time < $end")
GREEDY = ("perl", "-e", "$all = 'x' x 100_000_000; exit 0")
KILLED = 137


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("box"), restart={"after": "0ms", "at_most": 3}) as running:
        yield running


def throttled(running: Box) -> int:
    """Return how often the kernel has made it wait (cgroups(7), cpu.stat)."""
    pid = running.container.main_pid()
    assert pid is not None
    stat = dict(line.split() for line in limits.read(pid, "cpu", "cpu.stat", "cpu.stat").splitlines())
    return int(stat["nr_throttled"])


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_little_processor_time_is_what_the_kernel_gives_until_the_undo(one: Box) -> None:
    fault, written = faults()["cpu"], {"cores": 0.1}
    undo = undo_of("cpu", one, **written)
    applied = inject(fault, one.place, written)
    proof = prove(fault, one.place, written, applied)
    assert proof.proved, proof
    assert "a quota of 10000 µs in 100000 µs" in proof.text
    assert not prove_healed(fault, one.place, written).proved
    before = throttled(one)
    one.run(*BUSY)
    assert throttled(one) > before
    assert "has its limits again" in undo_elsewhere(undo)
    healed = prove_healed(fault, one.place, written)
    assert healed.proved, healed
    assert "no quota" in healed.text
    after = throttled(one)
    one.run(*BUSY)
    assert throttled(one) == after
    undo_elsewhere(undo)
    assert prove_healed(fault, one.place, written).proved


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_what_needs_more_memory_than_is_left_is_ended_until_the_undo(one: Box) -> None:
    fault, written = faults()["memory"], {"limit": "32MiB"}
    assert one.run(*GREEDY) == 0
    undo = undo_of("memory", one, **written)
    applied = inject(fault, one.place, written)
    proof = prove(fault, one.place, written, applied)
    assert proof.proved, proof
    assert "a limit of 33554432 bytes" in proof.text
    assert one.run(*GREEDY) == KILLED
    assert "has its limits again" in undo_elsewhere(undo)
    healed = prove_healed(fault, one.place, written)
    assert healed.proved, healed
    assert "no limit" in healed.text
    assert one.run(*GREEDY) == 0
    assert not prove(fault, one.place, written, applied).proved
    # What it has now is what the next fault will bring back; and a start takes it.
    assert undo_of("memory", one, **written) == undo
    undo_elsewhere(undo)
    (process,) = one.place.processes
    pid = process.pid()
    inject(faults()["crash"], replace(one.place, held=False), {})
    assert wait_until(lambda: process.pid() not in (None, pid) and one.answer() == "answered", 10.0)
    assert prove_healed(fault, one.place, written).proved


def test_what_has_ended_has_no_limit_to_read() -> None:
    with pytest.raises(NotReadyError, match="the cpu limit of process 4194305 cannot be read here"):
        limits.read(4_194_305, "cpu", "cpu.cfs_quota_us", "cpu.max")
    assert not limits.prove_each(Place("one"), lambda _: pytest.fail("there is none")).proved
