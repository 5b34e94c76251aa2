"""Limits of real containers: the kernel counts what they cost, and no more after the undo."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from chaosctl.errors import NotReadyError
from chaosctl.faults import limits, memory, processes
from chaosctl.faults.contract import Applied, Place, ProcessControl
from chaosctl.faults.processes import wait_until
from chaosctl.faults.registry import faults
from chaosctl.safety import cgroups
from chaosctl.safety.label import processes_of
from tests.faults.boxes import Box, box
from tests.faults.conftest import inject, params_of, prove, prove_healed
from tests.faults.insides import replica_of
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
    stat = dict(line.split() for line in cgroups.read(pid, "cpu", "cpu.stat", "cpu.stat").splitlines())
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


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_burners_take_their_part_of_the_processor_time_until_the_undo(one: Box) -> None:
    fault, written = faults()["cpu"], {"burners": 2}
    place = replace(one.place, run_id="test-burners")
    undo = fault.prepare("f1", place, params_of(fault, written))
    applied = inject(fault, place, written)
    (workers,) = applied.memo["burners"].values()
    assert len(workers) == 2
    proof = prove(fault, place, written, applied)
    assert proof.proved, proof
    assert "2 burners in its group had" in proof.text
    assert not prove_healed(fault, place, written).proved
    assert set(workers) < set(processes_of("test-burners"))
    assert "ended 3 burners" in undo_elsewhere(undo)
    assert processes_of("test-burners") == ()
    assert prove_healed(fault, place, written).proved
    assert "a burner has ended" in prove(fault, place, written, applied).text
    assert "nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_a_part_of_its_memory_is_held_until_the_undo(one: Box) -> None:
    fault, written = faults()["memory"], {"limit": "64MiB", "pressure": "75%"}
    place = replace(one.place, run_id="test-pressure")
    undo = fault.prepare("f1", place, params_of(fault, written))
    applied = inject(fault, place, written)
    proof = wait_until(lambda: prove(fault, place, written, applied).proved, 10.0)
    assert proof, prove(fault, place, written, applied)
    assert limits_of_memory(one) > 48 * 1024 * 1024
    assert one.run("perl", "-e", "$all = 'x' x 30_000_000; exit 0") == KILLED
    assert not prove_healed(fault, place, written).proved
    assert "ended 2 burners" in undo_elsewhere(undo)
    assert prove_healed(fault, place, written).proved
    assert one.run("perl", "-e", "$all = 'x' x 30_000_000; exit 0") == 0
    with pytest.raises(NotReadyError, match="has no memory limit, so there is no share of it"):
        inject(fault, place, {"pressure": "50%"})


def limits_of_memory(running: Box) -> int:
    pid = running.container.main_pid()
    assert pid is not None
    return memory.used_of(pid)


@pytest.mark.e2e
@pytest.mark.needs("docker")
@pytest.mark.parametrize("held", [False, True])
def test_the_kernel_ends_what_has_no_memory_left_and_it_starts_with_its_old_limit(one: Box, held: bool) -> None:
    fault, place = faults()["oom"], replace(one.place, run_id="test-oom", held=held)
    (process,) = place.processes
    before = process.pid()
    undo = fault.prepare("f1", place, params_of(fault, {}))
    applied = inject(fault, place, {})
    if held:
        # The engine does not always see that it was for lack of memory; the kernel's count says so.
        assert wait_until(lambda: one.container.inspect()["State"]["ExitCode"] == KILLED, 5.0)
    proof = prove(fault, place, {}, applied)
    assert proof.proved, proof
    assert f"process {before} ended by SIGKILL" in proof.text
    # Sometimes what takes the memory is ended with it, or before it and begins anew.
    assert re.search(r"the kernel ended [1-9]\d* for lack of memory", proof.text)
    assert processes_of("test-oom") == ()
    if held:
        assert not prove_healed(fault, place, {}).proved
        fault.restore("f1", place, params_of(fault, {}))
    assert wait_until(lambda: process.pid() not in (None, before) and one.answer() == "answered", 10.0)
    assert prove_healed(fault, place, {}).proved
    assert memory.limit_of(process.pid() or 0) is None
    assert "nothing to undo" in undo_elsewhere(undo)


def test_a_process_is_held_in_a_group_of_our_own_until_the_undo() -> None:
    fault, written = faults()["cpu"], {"cores": 0.1, "burners": 1}
    if fault.kind.process_lacks is None or (why := fault.kind.process_lacks()) is not None:
        pytest.skip(why)
    with replica_of("sh", "-c", "sleep 60 & cat & echo; wait") as (place, _, inside):
        place, before = replace(place, run_id="test-own"), cgroups.folder_of(inside.pid, "cpu")
        undo = fault.prepare("f1", place, params_of(fault, written))
        assert not prove(fault, place, written, Applied(0, 0, ())).proved
        applied = inject(fault, place, written)
        proof = prove(fault, place, written, applied)
        assert proof.proved, proof
        assert "a quota of 10000 µs in 100000 µs; 1 burners in its group had" in proof.text
        own = cgroups.folder_of(inside.pid, "cpu")
        assert own.name.startswith("chaosctl-")
        assert {cgroups.folder_of(one.pid, "cpu") for one in inside.members()} == {own}
        assert not prove_healed(fault, place, written).proved
        said = undo_elsewhere(undo)
        assert "ended 2 burners" in said
        assert f"removed control group {own.name}" in said
        assert {cgroups.folder_of(one.pid, "cpu") for one in inside.members()} == {before}
        assert not own.exists()
        assert prove_healed(fault, place, written).proved
        assert undo_elsewhere(undo).count("nothing to undo") == 2


@pytest.mark.parametrize("name", ["cpu", "memory"])
def test_a_fault_without_an_effect_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="nothing would happen"):
        params_of(faults()[name], {})


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_a_limit_that_was_given_in_cores_comes_back(tmp_path: Path) -> None:
    fault, written = faults()["cpu"], {"cores": 0.25}
    with box(tmp_path) as running:
        running.container.set_limits({"NanoCpus": 1_500_000_000})
        undo = undo_of("cpu", running, **written)
        proof = prove(fault, running.place, written, inject(fault, running.place, written))
        assert proof.proved, proof
        assert "a quota of 25000 µs" in proof.text
        undo_elsewhere(undo)
        healed = prove_healed(fault, running.place, written)
        assert healed.proved, healed
        assert "a quota of 150000 µs" in healed.text


def test_what_has_ended_has_no_limit_to_read() -> None:
    with pytest.raises(NotReadyError, match="process 4194305 has ended"):
        cgroups.read(4_194_305, "cpu", "cpu.cfs_quota_us", "cpu.max")
    assert not limits.prove_each(Place("one"), lambda _: pytest.fail("there is none")).proved


class _Held:
    """A replica whose container is this process, held by a made-up tree of control groups of version 2."""

    service, index = "one", 0

    def container(self) -> _Held:
        return self

    def main_pid(self) -> int:
        return os.getpid()


@pytest.mark.parametrize(
    ("kind", "written", "file", "limited", "as_it_was"),
    [
        ("cpu", {"cores": 0.2}, "cpu.max", "20000 100000", "max 100000"),
        ("memory", {"limit": "32MiB"}, "memory.max", "33554432", "max"),
    ],
)
def test_limits_are_read_under_version_2_too(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    written: dict[str, Any],
    file: str,
    limited: str,
    as_it_was: str,
) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "PROC", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "cgroup").write_text("0::/box\n")
    (tmp_path / "box").mkdir()
    place, fault = Place("one", processes=(cast(ProcessControl, _Held()),)), faults()[kind]
    for text, in_force in ((limited, True), (as_it_was, False)):
        (tmp_path / "box" / file).write_text(f"{text}\n")
        assert prove(fault, place, written, Applied(0, 0, ())).proved is in_force
        assert prove_healed(fault, place, written).proved is not in_force


@pytest.mark.parametrize(("files", "swap"), [(("cgroup.controllers",), -1), ((), memory.UNLIMITED_BYTES)])
def test_no_limit_of_memory_is_given_back_as_each_version_wants_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: tuple[str, ...], swap: int
) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for file in files:
        (tmp_path / file).touch()
    given_back = {"Memory": memory.UNLIMITED_BYTES, "MemorySwap": swap}
    assert memory.as_before({"Memory": 0, "MemorySwap": 0}) == given_back
