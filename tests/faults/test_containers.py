"""Faults on real containers: their effect is seen from outside, and is gone after the undo."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.processes import wait_until
from chaosctl.faults.registry import faults
from chaosctl.safety.engine import EngineError
from tests.faults.boxes import Box, box
from tests.faults.conftest import inject, params_of, prove, prove_healed
from tests.faults.undoing import undo_elsewhere, undo_of

pytestmark = [pytest.mark.e2e, pytest.mark.needs("docker")]


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is not looked for so long."""
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("box")) as running:
        yield running


def test_a_crash_is_left_to_the_restart_policy(tmp_path: Path) -> None:
    fault = faults()["crash"]
    with box(tmp_path, restart={"after": "0ms", "at_most": 3}) as running:
        (process,) = running.place.processes
        before = process.pid()
        place = replace(running.place, held=False)
        assert fault.prepare("f1", place, params_of(fault, {})) == ()
        applied = inject(fault, place, {})
        proof = prove(fault, place, {}, applied)
        assert proof.proved, proof
        assert proof.text == f"one[0]: process {before} ended by SIGKILL"
        assert wait_until(lambda: running.answer() == "answered", 10.0)
        assert process.pid() not in (before, None)
        assert running.container.inspect()["RestartCount"] == 0
        exited = [fields for event, fields in running.events if event == "service_exited"]
        assert [(one["signal"], one["expected"]) for one in exited] == [("SIGKILL", True)]


def test_a_disconnected_container_is_reached_by_nobody_until_it_is_put_back_as_it_was(one: Box) -> None:
    fault, before = faults()["disconnect"], one.container.endpoint()
    assert before is not None
    assert before.aliases == ("one", "one-0")
    assert one.answer() == "answered"
    undo = undo_of("disconnect", one)
    applied = inject(fault, one.place, {})
    proof = prove(fault, one.place, {}, applied)
    assert proof.proved, proof
    assert "no interface but loopback" in proof.text
    assert not prove_healed(fault, one.place, {}).proved
    assert one.answer() != "answered"
    assert one.container.endpoint() is None
    assert "put container" in undo_elsewhere(undo)
    assert wait_until(lambda: one.answer() == "answered", 5.0)
    assert one.container.endpoint() == before
    assert prove_healed(fault, one.place, {}).proved
    assert not prove(fault, one.place, {}, applied).proved
    assert "nothing to undo" in undo_elsewhere(undo)
    assert one.container.endpoint() == before


def test_a_container_that_the_engine_put_back_by_itself_gets_its_names_again(one: Box) -> None:
    before, undo = one.container.endpoint(), undo_of("disconnect", one)
    assert before is not None
    one.container.disconnect()
    one.container.connect(replace(before, aliases=()))
    assert "put container" in undo_elsewhere(undo)
    assert one.container.endpoint() == before


def test_what_is_not_on_its_network_cannot_be_taken_off_it(one: Box) -> None:
    undo = undo_of("disconnect", one)
    one.container.disconnect()
    with pytest.raises(NotReadyError, match="is not on the network chaosctl-test-"):
        undo_of("disconnect", one)
    with pytest.raises(EngineError):
        inject(faults()["disconnect"], one.place, {})
    undo_elsewhere(undo)


BYSTANDER = "-A INPUT -s 192.0.2.1/32 -j DROP"


@pytest.fixture
def guarded(one: Box) -> Iterator[Box]:
    """The container, with a rule in its network namespace that somebody else has put there."""
    namespace = one.container.inspect()["NetworkSettings"]["SandboxKey"]
    iptables = ("nsenter", f"--net={namespace}", "iptables")
    subprocess.run([*iptables, *BYSTANDER.split()], check=True, timeout=10)
    yield one
    subprocess.run([*iptables, *BYSTANDER.replace("-A", "-D").split()], check=True, timeout=10)


def rules(running: Box) -> list[str]:
    return [rule for _, rule in running.container.rules()]


@pytest.mark.parametrize(
    ("written", "met"),
    [
        ({}, "silent"),
        ({"direction": "in"}, "silent"),
        ({"direction": "out"}, "silent"),
        ({"port": "main"}, "silent"),
        ({"port": "main", "direction": "out"}, "silent"),
        ({"mode": "reject"}, "refused"),
        ({"mode": "reject", "port": "main", "direction": "in"}, "refused"),
    ],
    ids=str,
)
def test_what_is_blocked_does_not_pass_until_its_own_rules_are_removed(
    guarded: Box, written: dict[str, str], met: str
) -> None:
    fault = faults()["block"]
    before = rules(guarded)
    assert before == [BYSTANDER]
    undo = undo_of("block", guarded, **written)
    applied = inject(fault, guarded.place, written)
    assert guarded.connection(within_s=0.4) == met
    # Another port, where nobody listens: refused as ever, if only one is blocked.
    assert (guarded.connection(9, 0.4) == "refused") == ("port" in written or met == "refused")
    proof = prove(fault, guarded.place, written, applied)
    assert proof.proved, proof
    assert not prove_healed(fault, guarded.place, written).proved
    assert "removed chain" in undo_elsewhere(undo)
    assert rules(guarded) == before
    assert guarded.connection() == "answered"
    assert prove_healed(fault, guarded.place, written).proved
    assert not prove(fault, guarded.place, written, applied).proved
    assert "nothing to undo" in undo_elsewhere(undo)


def test_a_share_of_the_packets_is_lost_and_none_any_more_after_the_undo(guarded: Box) -> None:
    fault = faults()["loss"]
    for written in ({"share": "30%"}, {"share": "5%", "direction": "in"}, {"share": "100%", "direction": "out"}):
        undo = undo_of("loss", guarded, **written)
        applied = inject(fault, guarded.place, written)
        proof = prove(fault, guarded.place, written, applied)
        assert proof.proved, proof
        assert not prove(fault, guarded.place, {"share": "60%"}, applied).proved
        undo_elsewhere(undo)
        assert rules(guarded) == [BYSTANDER]
        assert prove_healed(fault, guarded.place, written).proved
        assert not prove(fault, guarded.place, written, applied).proved


def test_rules_go_with_their_container_and_there_is_nothing_to_undo(tmp_path: Path) -> None:
    with box(tmp_path) as running:
        undo = undo_of("block", running)
        inject(faults()["block"], running.place, {})
        assert running.driver.down() == ()
        assert "nothing to undo" in undo_elsewhere(undo)


def test_a_chain_that_names_something_else_is_refused(one: Box) -> None:
    for name in ("x -j ACCEPT", "x\nCOMMIT", "", "a" * 29):
        with pytest.raises(NotReadyError, match="is not the name of a chain"):
            one.container.add_chain(name, ("-j DROP",), ("INPUT",))
    assert rules(one) == []
