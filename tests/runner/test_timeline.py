"""The timeline on a fake clock: order, times, and that nothing stays in force."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.clock import FakeClock
from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults.contract import Applied, Place, Proof
from chaosctl.plan.model import Phase, Plan, PlannedFault, Step
from chaosctl.runner import timeline
from chaosctl.runner.timeline import Stage, Timeline
from chaosctl.safety.journal import UndoJournal
from chaosctl.safety.undo import SignalUndo, Undo

S = 1_000_000_000
GONE = SignalUndo(pid=2**22 + 1, start_ticks=1, signal="SIGCONT")  # no process has this id: undone at once


class Recorded:
    """A fault that notes what is done to it, on the fake clock."""

    kind = FaultKind("noted", "service", Params, "optional", "noted", "", "")

    def __init__(self, clock: FakeClock, undo: Callable[[], tuple[Undo, ...]] = lambda: (GONE,)) -> None:
        self.clock = clock
        self.undo = undo
        self.done: list[tuple[str, str, int]] = []
        self.broken = False

    def prepare(self, fault_id: str, place: Place, params: Any) -> tuple[Undo, ...]:
        self.done.append(("prepare", fault_id, self.clock.now_ns()))
        return self.undo()

    def inject(self, fault_id: str, place: Place, params: Any, now_ns: Callable[[], int]) -> Applied:
        if self.broken:
            raise NotReadyError("world[0]: is down; nothing to signal")
        self.done.append(("inject", fault_id, now_ns()))
        return Applied(now_ns(), now_ns(), ("world[0]",))

    def prove(self, fault_id: str, place: Place, params: Any, applied: Applied) -> Proof:
        return Proof(True, "seen")

    def restore(self, fault_id: str, place: Place, params: Any) -> None:
        self.done.append(("restore", fault_id, self.clock.now_ns()))

    def prove_healed(self, fault_id: str, place: Place, params: Any) -> Proof:
        return Proof(True, "gone")


def make_plan(*faults: tuple[str, int, int | None], end_ns: int = 20 * S) -> Plan:
    """A plan of `noted` faults: (id, inject, heal)."""
    planned = tuple(PlannedFault(i, "noted", "service", "world", {}, at, heal) for i, at, heal in faults)
    steps = [Step(0, "users", users=5, over_ns=S)]
    steps += [Step(f.inject_ns, "inject", f.id) for f in planned]
    steps += [Step(f.heal_ns, "heal", f.id) for f in planned if f.heal_ns is not None]
    ordered = (*sorted(steps, key=lambda step: (step.at_ns, step.do != "heal")), Step(end_ns, "heal_all"))
    return Plan(
        1, "x", "", "", 1, (Phase("timeline", 0, end_ns),), planned, ordered, (), (), ("world",), "", "", S, S, {}
    )


class Scene:
    """A timeline with everything it needs, on disk only the journal."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.clock = FakeClock(100 * S)
        self.fault = Recorded(self.clock)
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.users: list[tuple[int, float]] = []
        self.stop = threading.Event()
        self.journal = UndoJournal(folder / "undo.jsonl")
        self.stage = Stage(
            faults={"noted": self.fault},
            place_of=lambda planned: Place(on=planned.on),
            set_users=lambda count, over_s: self.users.append((count, over_s)),
            journal=self.journal,
            record=lambda event, /, **fields: self.events.append((event, fields)),
            clock=self.clock,
            stop=self.stop,
            origin_ns=100 * S,
        )
        self.timeline = Timeline(plan, self.stage)

    def names(self, what: str) -> list[str]:
        return [str(fields.get("fault")) for event, fields in self.events if event == what]


def test_every_step_comes_at_its_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, 8 * S), ("f2", 12 * S, None)))
    assert scene.timeline.play(100 * S) is True
    scene.timeline.finish()
    injected = {name: at_ns - 100 * S for what, name, at_ns in scene.fault.done if what == "inject"}
    assert injected == {"f1": 5 * S, "f2": 12 * S}
    assert scene.users == [(5, 1.0)]
    assert scene.names("fault_healed") == ["f1"]
    assert sorted(scene.names("fault_proved")) == ["f1", "f2"]


def test_a_proof_that_takes_too_long_is_given_up_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "PROOF_BOUND_S", 0.05)
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, None)))
    enough = threading.Event()
    scene.fault.prove = lambda *_: Proof(enough.wait(10), "late")  # type: ignore[method-assign]
    assert scene.timeline.play(100 * S) is True
    scene.timeline.finish()
    enough.set()
    assert scene.names("fault_applied") == ["f1"]


def test_what_undoes_a_fault_is_on_disk_before_it_is_injected(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, 8 * S)))
    seen: list[int] = []
    real = scene.fault.inject

    def inject(*arguments: Any) -> Applied:
        seen.append(len(scene.journal.pending()))
        return real(*arguments)

    scene.fault.inject = inject  # type: ignore[method-assign]
    scene.timeline.play(100 * S)
    scene.timeline.finish()
    assert seen == [1]
    assert scene.journal.pending() == ()


def test_a_stopped_timeline_heals_what_is_in_force_and_clears_the_journal(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, 15 * S), ("f2", 6 * S, None), ("f3", 7 * S, 9 * S)))
    real = scene.fault.inject

    def stop_at_f2(fault_id: str, *rest: Any) -> Applied:
        if fault_id == "f2":
            scene.stop.set()
        return real(fault_id, *rest)

    scene.fault.inject = stop_at_f2  # type: ignore[method-assign]
    assert scene.timeline.play(100 * S) is False
    scene.timeline.finish()
    assert [name for what, name, _ in scene.fault.done if what == "restore"] == ["f2", "f1"]
    assert scene.journal.pending() == ()


def test_a_fault_that_cannot_be_injected_is_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, 8 * S), ("f2", 12 * S, None)))
    scene.fault.broken = True
    assert scene.timeline.play(100 * S) is True
    scene.timeline.finish()
    assert scene.names("fault_failed") == ["f1", "f2"]
    assert scene.names("fault_proved") == []


def test_a_process_that_was_replaced_since_gets_its_undo_written_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, 8 * S)))
    pids = iter([GONE, replace(GONE, start_ticks=2), replace(GONE, start_ticks=2)])
    scene.fault.undo = lambda: (next(pids),)
    written: list[tuple[Undo, ...]] = []
    real = scene.journal.write

    def write(fault_id: str, undo: tuple[Undo, ...]) -> int:
        written.append(undo)
        return real(fault_id, undo)

    scene.journal.write = write  # type: ignore[method-assign]
    scene.timeline.play(100 * S)
    scene.timeline.finish()
    assert [undo[0].start_ticks for undo in written if isinstance(undo[0], SignalUndo)] == [1, 2]
    assert scene.journal.pending() == ()


def test_a_proof_that_breaks_leaves_the_fault_unproved(tmp_path: Path) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 5 * S, None)))

    def prove(*_: Any) -> Proof:
        raise ZeroDivisionError("no samples")

    scene.fault.prove = prove  # type: ignore[method-assign]
    scene.timeline.play(100 * S)
    scene.timeline.finish()
    proved = [fields for event, fields in scene.events if event == "fault_proved"]
    assert [(p["proved"], "no samples" in p["proof"]) for p in proved] == [(False, True)]


@pytest.mark.parametrize("late_ns", [0, 3 * S])
def test_steps_that_are_already_due_are_played_in_order(tmp_path: Path, late_ns: int) -> None:
    scene = Scene(tmp_path, make_plan(("f1", 1 * S, 2 * S), ("f2", 2 * S, 3 * S)))
    scene.clock.advance(late_ns)
    assert scene.timeline.play(100 * S) is True
    scene.timeline.finish()
    order = [(event, fields["fault"]) for event, fields in scene.events if event in ("fault_applied", "fault_healed")]
    assert order == [("fault_applied", "f1"), ("fault_healed", "f1"), ("fault_applied", "f2"), ("fault_healed", "f2")]


class Moving:
    """Places of a role that goes from replica to replica, each time that it is asked for. `None`: nobody has it."""

    def __init__(self, *holders: str | None) -> None:
        self.holders = list(holders)

    def __call__(self, planned: PlannedFault) -> Place:
        if (holder := self.holders.pop(0)) is None:
            raise NotReadyError("no replica of world says that it is leader")
        return Place(holder, processes=(holder,), roles={holder: "leader"})  # type: ignore[arg-type]


def by_role(folder: Path, *holders: str | None) -> Scene:
    plan = make_plan(("f1", 5 * S, 8 * S))
    plan = replace(plan, faults=(replace(plan.faults[0], on="leader of world"),))
    scene = Scene(folder, plan)
    scene.timeline = Timeline(plan, replace(scene.stage, place_of=Moving(*holders)))
    return scene


@pytest.mark.parametrize(
    "holders", [("world[0]", "world[0]"), ("world[0]", "world[1]"), (None, "world[1]")], ids=["stays", "moves", "comes"]
)
def test_a_role_is_asked_for_when_the_fault_is_due_and_its_undo_names_who_has_it(
    tmp_path: Path, holders: tuple[str | None, ...]
) -> None:
    scene = by_role(tmp_path, *holders)
    struck: list[str] = []
    scene.fault.prepare = lambda _, place, __: (replace(GONE, start_ticks=int(place.on[6])),)  # type: ignore[method-assign]
    real = scene.fault.inject

    def inject(fault_id: str, place: Place, *rest: Any) -> Applied:
        undone = [action.start_ticks for entry in scene.journal.pending() for action in entry.actions]  # type: ignore[union-attr]
        assert undone == [int(place.on[6])]
        struck.append(place.on)
        return real(fault_id, place, *rest)

    scene.fault.inject = inject  # type: ignore[method-assign]
    scene.timeline.play(100 * S)
    scene.timeline.finish()
    assert struck == [holders[-1]]
    resolved = [fields for event, fields in scene.events if event == "fault_resolved"]
    assert resolved == [{"fault": "f1", "asked": "leader of world", "on": holders[-1], "said": {holders[-1]: "leader"}}]
    assert scene.names("fault_healed") == ["f1"]
    assert scene.journal.pending() == ()


@pytest.mark.parametrize("holders", [("world[0]", None), (None, None)])
def test_a_role_that_nobody_has_fails_the_fault_and_leaves_nothing_to_undo(
    tmp_path: Path, holders: tuple[str | None, ...]
) -> None:
    scene = by_role(tmp_path, *holders)
    assert scene.timeline.play(100 * S) is True
    scene.timeline.finish()
    assert [fields["why"] for event, fields in scene.events if event == "fault_failed"] == [
        "no replica of world says that it is leader"
    ]
    assert not [what for what, _, _ in scene.fault.done if what in ("inject", "restore")]
    assert scene.journal.pending() == ()
