"""What `chaosctl doctor` says of a machine that lacks something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.cli.doctor import LOOKS, Fact, _clocks, _docker, _faketime, _faults
from chaosctl.faults.registry import fault_kinds
from tests.safety.engine import FakeEngine, listening, over_tcp


def test_what_is_lacking_has_its_cost_and_its_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("chaosctl.replay.perturb.FAKETIME_FOLDERS", (str(tmp_path),))
    fact = _faketime()
    assert (fact.state, str(tmp_path) in fact.found) == ("optional", True)
    assert "`clock` is not tested" in fact.cost
    assert "libfaketime" in fact.mend
    (tmp_path / "libfaketime.so.1").touch()
    assert _faketime().state == "ok"


def test_faults_that_cannot_work_here_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = dict(fault_kinds())
    able = {name: replace(kind, lacks=None) for name, kind in kinds.items()}
    monkeypatch.setattr("chaosctl.faults.registry.fault_kinds", lambda: able)
    assert _faults().state == "ok"
    monkeypatch.setattr(
        "chaosctl.faults.registry.fault_kinds",
        lambda: {**able, "loss": replace(able["loss"], lacks=lambda: "no iptables")},
    )
    assert (_faults().state, _faults().cost) == ("optional", "no loss")
    assert _faults().found.startswith(f"{len(kinds) - 1} of {len(kinds)}")


def test_a_clock_that_cannot_be_shifted_costs_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _clocks().state == "ok"
    kinds = dict(fault_kinds())
    without = {**kinds, "clock_skew": replace(kinds["clock_skew"], lacks=lambda: "known for x86-64 only")}
    monkeypatch.setattr("chaosctl.faults.registry.fault_kinds", lambda: without)
    assert (_clocks().state, _clocks().cost) == ("optional", "no clock_skew")


def test_each_thing_is_looked_at_once() -> None:
    assert len(set(LOOKS)) == len(LOOKS)
    assert _faketime in LOOKS


def test_an_engine_of_another_machine_is_said_to_be_one_with_what_that_costs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeEngine(tmp_path / "engine.sock")
    fake.says["GET", "/version"] = (200, {"Version": "27.0", "ApiVersion": "1.46"})
    fake.says["GET", "/info"] = (200, {"CgroupVersion": "2", "CgroupDriver": "systemd", "Driver": "overlay2"})
    kept = "27.0 (API 1.46), cgroup v2 by systemd, storage overlay2"
    with listening(fake), over_tcp(fake.path) as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        fact = _docker()
        assert (fact.state, fact.found) == ("optional", f"{kept} at {address}: another machine")
        assert "crash" in fact.cost and "loss" in fact.cost and "kill" not in fact.cost
        monkeypatch.setenv("DOCKER_HOST", f"unix://{fake.path}")
        assert _docker() == Fact("Docker Engine", "ok", kept)
    monkeypatch.setenv("DOCKER_HOST", "ssh://box")
    assert "speaks no ssh" in _docker().found
