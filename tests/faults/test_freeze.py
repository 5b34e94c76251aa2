"""One process of several is stopped, in a container and beside it, and goes on after its undo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Inside, Place
from chaosctl.faults.registry import faults
from chaosctl.safety.processes import thread_states
from tests.faults.boxes import SERVICE, box
from tests.faults.conftest import NOT_APPLIED, inject, params_of, prove, prove_healed
from tests.faults.insides import replica_of
from tests.faults.undoing import undo_elsewhere

pytestmark = pytest.mark.e2e
FREEZE = faults()["freeze"]


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@contextmanager
def place_of() -> Iterator[tuple[Place, Inside]]:
    with replica_of("sh", "-c", "sleep 60 & sleep 61 & cat & echo; wait") as (place, _, inside):
        # The shell forks before it says so, but its children become what they are later.
        assert processes.wait_until(lambda: len(inside.named("sleep")) == 2, 5.0)
        yield place, inside


def stopped(inside: Inside) -> list[int]:
    """Return which of the two that sleep are stopped, by their order, as the kernel says."""
    return [n for n, one in enumerate(inside.named("sleep")) if thread_states(one.pid) <= processes.STOPPED]


@pytest.mark.parametrize(("pick", "which"), [({}, [0]), ({"pick": "newest"}, [1]), ({"pick": "all"}, [0, 1])], ids=str)
def test_those_that_are_meant_are_stopped_and_no_other_until_the_undo(pick: dict[str, str], which: list[int]) -> None:
    written = {"process": "sleep", **pick}
    with place_of() as (place, inside):
        undo = FREEZE.prepare("f1", place, params_of(FREEZE, written))
        assert prove_healed(FREEZE, place, written).proved
        assert not prove(FREEZE, place, written, NOT_APPLIED).proved
        applied = inject(FREEZE, place, written)
        proof = prove(FREEZE, place, written, applied)
        assert proof.proved, proof
        assert stopped(inside) == which
        assert all(f"(process {inside.named('sleep')[n].pid}) is stopped" in proof.text for n in which)
        assert not thread_states(inside.pid) & processes.STOPPED
        assert not prove_healed(FREEZE, place, written).proved
        undo_elsewhere(undo)
        assert stopped(inside) == []
        assert prove_healed(FREEZE, place, written).proved
        assert not prove(FREEZE, place, written, applied).proved
        undo_elsewhere(undo)


def test_what_is_not_there_is_refused_with_what_is() -> None:
    with place_of() as (place, _):
        with pytest.raises(NotReadyError, match=r"nothing in world\[0\] is called 'nginx'; there are: .*sh.*sleep"):
            FREEZE.prepare("f1", place, params_of(FREEZE, {"process": "nginx"}))
        (replica,) = place.processes
        replica.end()
        with pytest.raises(NotReadyError, match="is down"):
            inject(FREEZE, place, {"process": "sleep"})
    assert not prove_healed(FREEZE, Place("world"), {"process": "sleep"}).proved


@pytest.mark.needs("docker")
def test_in_a_container_its_first_process_stops_and_its_child_goes_on(tmp_path: Path) -> None:
    run = ["perl", "-e", 'system("sleep 1000 &"); exec "perl", "-e", $ARGV[0]', SERVICE["run"][2]]
    with box(tmp_path, run=run) as running:
        inside = running.place.processes[0].inside()
        assert inside is not None
        assert processes.wait_until(lambda: len(inside.named("sleep")) == 1, 5.0)
        for name, met in (("perl", "silent"), ("sleep", "answered")):
            written = {"process": name}
            undo = FREEZE.prepare("f1", running.place, params_of(FREEZE, written))
            applied = inject(FREEZE, running.place, written)
            proof = prove(FREEZE, running.place, written, applied)
            assert proof.proved, proof
            assert running.answer(0.4) == met
            assert not prove_healed(FREEZE, running.place, written).proved
            undo_elsewhere(undo)
            assert prove_healed(FREEZE, running.place, written).proved
            assert running.answer() == "answered"
        with pytest.raises(NotReadyError, match="there are: perl, sleep"):
            inject(FREEZE, running.place, {"process": "cat"})
