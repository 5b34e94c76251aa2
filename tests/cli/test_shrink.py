"""`chaosctl shrink`: which runs are played, what is left on disk, what is said. The playing itself is faked."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from chaosctl.cli import run, shrink
from chaosctl.cli.app import app
from chaosctl.cli.arguments import load
from chaosctl.errors import NotReadyError
from chaosctl.faults.registry import fault_kinds
from chaosctl.plan.build import build_plan
from chaosctl.plan.codec import plan_to_json
from chaosctl.plan.model import Plan
from chaosctl.report.html import HtmlReporter
from tests.fixtures.generator import LOAD_START, MS, S, Truth, make

EXPERIMENT = """\
extends: {tiny}
name: many
hypothesis: Nothing hurts.
timeline:
  - {{ at: 100ms, fault: kill, on: tiny }}
  - {{ at: 2s, for: 200ms, fault: pause, on: leader of tiny }}
  - {{ at: 4s, for: 1500ms, fault: latency, on: bots-tiny, latency: "${{DELAY:-60ms}}" }}
  - {{ at: 6s, fault: stop, on: "tiny[0]" }}
chaos:
  from: 8s
  gap: 1s
  faults: [{{ fault: kill, on: any 1 of tiny, every: 1s }}]
target: {{ services: {{ tiny: {{ replicas: 2, offers: {{ status: {{ command: [echo] }} }} }} }} }}
duration: 20s
objectives: {{ recovery: {{ serviceable: 3s }} }}
"""
Guilty = Callable[[set[str]], bool]


class Played:
    """Stands in for the run: the recording fails if the faults that are left are guilty. `ends` may end one early."""

    how: Any

    def __init__(self, guilty: Guilty, ends: int | None = None) -> None:
        self.guilty = guilty
        self.ends = ends
        self.plans: list[Plan] = []

    def __call__(self, how: Any, plan: Plan, folder: Path, run_id: str, _series: Any) -> None:
        self.how = how
        self.plans.append(plan)
        early = len(self.plans) == self.ends
        truth = Truth(
            objectives={"errors": {"at_most": "50%", "during": "all"}},
            outages=[(LOAD_START, LOAD_START + 11 * S)] if self.guilty({one.id for one in plan.faults}) else [],
            end=LOAD_START + 12 * S,
            every=100 * MS,
            rate_per_s=5,
            **({"ended": "interrupted", "events": [(S, "interrupted", {"signal": "SIGINT"})]} if early else {}),  # type: ignore[arg-type]
        )
        make(folder, truth)


class Place:
    """A failing run on disk, and how to shrink it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.file, self.bundle = folder / "many.yaml", folder / "run"
        tiny = Path(__file__).parents[1] / "e2e" / "tiny"
        (folder / "tiny.yaml").write_text((tiny / "tiny.yaml").read_text())
        for name in ("bots.py", "server.py"):
            (folder / name).write_text((tiny / name).read_text())
        self.file.write_text(EXPERIMENT.format(tiny="tiny.yaml"))
        monkeypatch.setattr(HtmlReporter, "render", lambda *_: "a page, which takes long to draw")
        self.loaded = load(self.file, ["swarm.users=5"])
        self.plan = build_plan(self.loaded, 7, fault_kinds())
        self.record(lambda _: True)

    def record(self, guilty: Guilty) -> None:
        Played(guilty)(None, self.plan, self.bundle, "run", None)
        plan = json.loads(plan_to_json(self.plan))
        plan["objectives"] = json.loads((self.bundle / "plan.json").read_text())["objectives"]
        (self.bundle / "plan.json").write_text(json.dumps(plan))
        words = f"chaosctl run {self.file} --set swarm.users=5 --relay container --relay-image toxi:2 --seed 7"
        identity = {"run_id": "run", "seed": 7, "experiment": "many", "file": str(self.file), "command": words}
        (self.bundle / "run.json").write_text(
            json.dumps({**identity, "wall": "2026-01-02T03:04:05", "fingerprint": self.loaded.fingerprint})
        )

    def shrink(self, guilty: Guilty, *words: str, ends: int | None = None) -> tuple[Played, Result]:
        played = Played(guilty, ends)
        self.monkeypatch.setattr(run, "record", played)
        return played, CliRunner().invoke(app, ["shrink", str(self.bundle), *words])

    @property
    def ids(self) -> list[str]:
        return [fault.id for fault in self.plan.faults]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return the plan of an experiment with many faults."""
    file = tmp_path / "many.yaml"
    tiny = Path(__file__).parents[1] / "e2e" / "tiny" / "tiny.yaml"
    file.write_text(EXPERIMENT.format(tiny=tiny))
    return build_plan(load(file, []), 7, fault_kinds())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_the_few_faults_that_do_it_are_left_and_written_down(place: Place) -> None:
    last = place.ids[-1]
    assert last.startswith("c")
    played, ended = place.shrink(lambda ids: {"f2-pause", "f3-latency", last} <= ids)
    assert ended.exit_code == 0, ended.output
    assert [one.id for one in played.plans[0].faults] == place.ids
    assert f"3 faults of {len(place.ids)} left, and errors still fails; without any one of them" in ended.stdout
    file = place.folder / "run-shrunk" / "experiment.yaml"
    shown = f"chaosctl run {file} --set swarm.users=5 --seed 7 --relay container --relay-image toxi:2"
    assert f"Show it: {shown}\n" in ended.stdout
    assert played.how.relay.image == "toxi:2"
    assert "${DELAY:-60ms}" in file.read_text()
    again = build_plan(load(file, ["swarm.users=5"]), 7, fault_kinds())
    original = {fault.id: fault for fault in place.plan.faults}
    kept = [original["f2-pause"], original["f3-latency"], original[last]]
    assert [(one.kind, one.on, one.params, one.inject_ns, one.heal_ns) for one in again.faults] == [
        (one.kind, one.on, one.params, one.inject_ns, one.heal_ns) for one in kept
    ]
    assert again.bots == place.plan.bots


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_left_is_just_what_it_takes(plan: Plan, data: st.DataObject) -> None:
    ids = [fault.id for fault in plan.faults]
    needed = data.draw(st.sets(st.sampled_from(ids), max_size=4))
    most = data.draw(st.integers(1, 200))
    tried: list[frozenset[str]] = []

    def status(candidate: Plan, number: int) -> str:
        tried.append(frozenset(fault.id for fault in candidate.faults))
        assert number == len(tried)
        return "fail" if needed <= tried[-1] else data.draw(st.sampled_from(["pass", "inconclusive"]))

    found = shrink._search(plan, status, shrink._Bounds(most, time.monotonic() + 3600, 0.0))
    assert found.plan is not None
    left = {fault.id for fault in found.plan.faults}
    assert needed <= left and left in tried
    assert left == needed or not found.minimal
    assert found.minimal or most < 200
    assert len(tried) == len(set(tried)) == found.played <= most, "nothing is run twice"


def test_what_fails_without_any_fault_is_said_to(place: Place) -> None:
    _, ended = place.shrink(lambda _: True)
    assert ended.exit_code == 0
    assert "errors fails without any fault" in ended.stdout


def test_what_does_not_fail_again_is_not_shrunk(place: Place) -> None:
    played, ended = place.shrink(lambda _: False)
    assert (ended.exit_code, len(played.plans)) == (6, 1)
    assert f"errors did not fail again with all {len(place.ids)} faults: it may fail by chance" in ended.stdout
    assert not (place.folder / "run-shrunk" / "experiment.yaml").exists()


@pytest.mark.parametrize(("words", "most"), [(("--runs", "2"), 2), (("--within", "0s"), 1)])
def test_the_search_is_bounded_and_says_that_it_was(place: Place, words: Sequence[str], most: int) -> None:
    played, ended = place.shrink(lambda ids: "f1-kill" in ids, *words)
    assert ended.exit_code == 0, ended.output
    assert len(played.plans) == most
    assert "the search ended before its time, so there may be fewer" in ended.stdout
    assert (place.folder / "run-shrunk" / "experiment.yaml").is_file()


def test_a_run_that_was_interrupted_is_the_last_and_what_was_found_is_kept(place: Place) -> None:
    played, ended = place.shrink(lambda ids: "f1-kill" in ids, ends=2)
    assert (ended.exit_code, len(played.plans)) == (130, 2)
    assert (place.folder / "run-shrunk" / "experiment.yaml").is_file()
    played, ended = place.shrink(lambda _: True, "--out", str(place.folder / "other"), ends=1)
    assert (ended.exit_code, len(played.plans)) == (130, 1)


def test_what_cannot_be_shrunk_is_refused(place: Place) -> None:
    def refused(*words: str) -> str:
        played, ended = place.shrink(lambda _: True, *words)
        assert played.plans == []
        assert ended.exception is not None
        return str(ended.exception)

    assert "--objective latency: does not fail in this run; those that do: errors" in refused("--objective", "latency")
    assert "--within soon: 'soon' is not a duration" in refused("--within", "soon")
    assert "is not an empty folder; name a new or an empty one" in refused("--out", str(place.folder))
    place.file.write_text(place.file.read_text().replace("2s", "3s"))
    assert "means something else than when the run was made" in refused()
    shutil.rmtree(place.bundle)
    place.record(lambda _: False)
    assert "no objective fails in this run; name a run that fails" in refused()


def test_while_chaosctl_is_halted_nothing_is_run(place: Place) -> None:
    def halted(*_: Any) -> None:
        raise NotReadyError("chaosctl is halted")

    place.monkeypatch.setattr(run, "record", halted)
    ended = CliRunner().invoke(app, ["shrink", str(place.bundle)])
    assert isinstance(ended.exception, NotReadyError)
