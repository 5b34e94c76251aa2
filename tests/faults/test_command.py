"""The operator's own commands: once for each replica, proved by their word, healed from what is on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import ChaosctlError, NotReadyError
from chaosctl.faults import command
from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.runner.desks import ReplicaDesk
from chaosctl.safety.undo import CommandUndo, from_json, play, to_json

FAULT = faults()["command"]
ON = "touch on-${index}; echo on ${self.main}"
WRITTEN = {
    "inject": ["sh", "-c", ON],
    "heal": ["rm", "-f", "on-${index}"],
    "prove": ["test", "-e", "on-${index}"],
}


def params(**changed: Any) -> Any:
    return FAULT.kind.params.model_validate({**WRITTEN, **changed})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    desks = tuple(
        ReplicaDesk(f"world[{i}]", {"index": str(i), "self.main": f"h{i}:1"}, tmp_path, tmp_path, os.environ)
        for i in range(2)
    )
    return Place("world", desks=desks, held=True)


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOOK_S", 0.3)


def test_injected_proved_and_healed_on_every_replica(place: Place, tmp_path: Path) -> None:
    undo = FAULT.prepare("f1", place, params())
    assert not (tmp_path / "on-0").exists()
    applied = FAULT.inject("f1", place, params(), lambda: 0)
    assert [text[:10] for text in applied.targets] == ["world[0]: ", "world[1]: "]
    assert applied.targets[1].endswith("said: on h1:1")
    assert FAULT.prove("f1", place, params(), applied).proved
    assert not FAULT.prove_healed("f1", place, params()).proved
    for _ in range(2):
        assert all(play(from_json(to_json(action))).done for action in undo)
    assert not list(tmp_path.glob("on-*"))
    assert FAULT.prove_healed("f1", place, params()).proved
    assert (tmp_path / "f1.log").read_text() == "on h0:1\non h1:1\n"


def test_what_heals_is_whole_before_anything_is_done(place: Place, tmp_path: Path) -> None:
    first, second = FAULT.prepare("f1", place, params(within="2s"))
    assert first == CommandUndo(("rm", "-f", "on-0"), str(tmp_path), str(tmp_path / "f1.log"), 2.0)
    assert isinstance(second, CommandUndo) and second.argv == ("rm", "-f", "on-1")


def test_without_prove_it_is_unproved(place: Place) -> None:
    plain = params(prove=None)
    applied = FAULT.inject("f1", place, plain, lambda: 0)
    for proof in (FAULT.prove("f1", place, plain, applied), FAULT.prove_healed("f1", place, plain)):
        assert (proof.proved, "add `prove:" in proof.text) == (False, True)


def test_one_replica_that_does_not_show_it_is_enough(place: Place, tmp_path: Path) -> None:
    applied = FAULT.inject("f1", place, params(), lambda: 0)
    (tmp_path / "on-1").unlink()
    proof = FAULT.prove("f1", place, params(), applied)
    assert (proof.proved, "world[1]: `test -e on-1` exited with 1" in proof.text) == (False, True)


def test_a_proof_that_cannot_look_proves_nothing_either_way(place: Place) -> None:
    broken = params(prove=["sh", "-c", "exit 255"])
    applied = FAULT.inject("f1", place, broken, lambda: 0)
    assert not FAULT.prove("f1", place, broken, applied).proved
    assert not FAULT.prove_healed("f1", place, broken).proved


def test_one_that_fails_is_said_with_its_words(place: Place) -> None:
    failing = params(inject=["sh", "-c", "echo no route to host; exit 255"])
    with pytest.raises(NotReadyError, match=r"world\[0\]: .* exited with 255 .* said: no route to host; mend `inject`"):
        FAULT.inject("f1", place, failing, lambda: 0)
    with pytest.raises(ChaosctlError, match="has no value here"):
        FAULT.inject("f1", place, params(inject=["echo", "${nowhere}"]), lambda: 0)
