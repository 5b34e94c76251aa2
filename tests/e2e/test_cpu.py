"""Processor time of processes, in whole runs: limited and competed for, and as before, whoever undoes it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from chaosctl.faults.registry import faults
from chaosctl.safety.journal import pending
from chaosctl.safety.own_group import GroupUndo
from tests.e2e.harness import HELD, Place

CPU = HELD.parent / "cpu.yaml"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.mark.parametrize("killed", [False, True])
def test_processes_are_given_little_time_and_theirs_back(place: Place, killed: bool) -> None:
    lacks = faults()["cpu"].kind.process_lacks
    if lacks is None or (why := lacks()) is not None:
        pytest.skip(why)
    run = place.run("cpu-killed" if killed else "cpu", file=CPU)
    run.wait_for("fault_applied", fault="f1-cpu")
    undone = [action for entry in pending(run.bundle / "undo.jsonl") for action in entry.actions]
    (group,) = [Path(action.folder) for action in undone if isinstance(action, GroupUndo)]
    assert (group / "cgroup.procs").read_text().split()
    if killed:
        run.signal(signal.SIGKILL)
        run.nothing_is_left(within_s=10.0)
    else:
        ended = run.ended()
        assert ended.code == 0, ended
        assert [one["proved"] for one in run.events("fault_proved") + run.events("fault_heal_proved")] == [True, True]
        run.nothing_is_left()
    assert run.events("cleanup_failed") == []
    assert not group.exists()
