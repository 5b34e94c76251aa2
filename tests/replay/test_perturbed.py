"""Perturbed replays of small programs, each of which depends on one thing beside its input log, or on none."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from chaosctl.experiment.model import Replay
from chaosctl.recording.factors import Factor
from chaosctl.replay.canary import Sighting
from chaosctl.replay.perturb import NotHereError, perturbation_of
from chaosctl.replay.perturbed import Perturbing
from chaosctl.replay.run import ReplayRun
from chaosctl.verify.contract import Checked, Finding, Status
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import MS, Truth, make

pytestmark = pytest.mark.e2e

# From the third tick on, what {depends} says is in its state.
PROGRAM = """
import ctypes, json, os, signal, sys, time
total = 0
def stops():
    seen = []
    signal.signal(signal.SIGCONT, lambda *_: seen.append(1))
    while not seen and time.process_time() < 0.3: pass
    return len(seen)
for tick, line in enumerate(open(sys.argv[1])):
    total += int(line)
    state = {{"total": total, "more": ({depends}) if tick >= 2 else None}}
    said = {{"tick": tick, "digest": str(state)}}
    print(json.dumps({{**said, "state": state}} if len(sys.argv) > 2 else said))
"""
ON = {
    Factor.HASH_SEED: "hash('gold')",
    Factor.TIMEZONE: "time.localtime(0).tm_hour",
    Factor.ENVIRONMENT: "len(str(dict(os.environ))) > 15000",
    Factor.WORKING_FOLDER: "os.path.basename(os.getcwd())",
    Factor.CPU: "len(os.sched_getaffinity(0))",
    Factor.ADDRESSES: "[line.split()[0] for line in open('/proc/self/maps') if 'stack' in line][0].split('-')[1]",
    Factor.CLOCK: "time.gmtime().tm_year",
    Factor.PACE: "stops()",
    Factor.OPEN_FILES: "os.path.exists('/proc/self/fd/9')",
}
TRIED = (Factor.TIMEZONE, Factor.WORKING_FOLDER, Factor.CLOCK, Factor.OPEN_FILES)
ENV = {name: value for name, value in os.environ.items() if name not in ("PYTHONHASHSEED", "TZ")}


def judged(
    folder: Path, depends: str, factors: Sequence[Factor], clock_file: str | None = None, **params: Any
) -> Checked:
    """Replay the program twice, then under each factor, and judge that."""
    program = PROGRAM.format(depends=depends)
    replay = Replay(
        run=(sys.executable, "-S", "-c", program, "${input_log}"), states=("--states",), clock_file=clock_file
    )
    recording = make(folder, Truth())
    log, abort = recording.folder / "inputs" / "world-0.log", threading.Event()
    log.write_text("".join(f"{n}\n" for n in range(5)))
    events: list[tuple[int, str, dict[str, Any]]] = []

    def finished(run: ReplayRun) -> None:
        fields = asdict(run)
        events.append((MS, "replay_finished", {"run": fields.pop("name"), **fields}))

    def sighted(sighting: Sighting) -> None:
        events.append((MS, "replay_canary", asdict(sighting)))

    where = {"input_log": log, "bundle": recording.folder, "folder": folder, "env": ENV, "abort": abort}
    Perturbing(replay, sighted=sighted, finished=finished, **where).plain_and_all(2, factors)
    with (recording.folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"at_ns": at, "event": name, **fields}) + "\n" for at, name, fields in events)
    opened = type(recording).open(recording.folder)
    return CHECKER.check(opened, ReplayParams.model_validate({"runs": 2, "perturb": tuple(factors), **params}))


def by_name(checked: Checked) -> dict[str, Finding]:
    return {finding.name: finding for finding in checked.findings}


def possible(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    found = []
    for factor in factors:
        try:
            perturbation_of(factor, ENV)
        except NotHereError:
            continue
        found.append(factor)
    return tuple(found)


def test_a_program_that_depends_on_its_log_alone_is_broken_by_nothing(tmp_path: Path) -> None:
    factors = possible(tuple(Factor))
    found = by_name(judged(tmp_path, "0", factors))
    assert set(found) == {"replay", *(f"replay.{factor}" for factor in factors)}
    assert {finding.status for finding in found.values()} == {Status.PASS}
    assert "without it" in found["replay.timezone"].why
    assert found["replay.hash-seed"].measured.value == 2


@pytest.mark.parametrize(
    "factor",
    [Factor.TIMEZONE, Factor.WORKING_FOLDER, Factor.CPU, Factor.CLOCK, Factor.PACE, Factor.OPEN_FILES],
)
def test_a_program_is_broken_by_exactly_what_it_depends_on(factor: Factor, tmp_path: Path) -> None:
    factors = possible(tuple(dict.fromkeys((*TRIED, factor))))
    if factor not in factors:
        pytest.skip(f"{factor} cannot be perturbed here")
    checked = judged(tmp_path, ON[factor], factors)
    found = by_name(checked)
    assert [name for name, finding in found.items() if finding.status is Status.FAIL] == [f"replay.{factor}"]
    assert {finding.status for finding in found.values()} == {Status.PASS, Status.FAIL}
    assert f"broken by it: perturb-{factor}-1 parts from replay-1 at tick 2: more is " in found[f"replay.{factor}"].why
    row = next(row for row in checked.tables["replays"] if row["run"] == f"perturb-{factor}-1")
    assert (row["factor"], row["first_divergence"], row["diff"][0]["path"]) == (factor, 2, "more")


@pytest.mark.parametrize("factor", [Factor.HASH_SEED, Factor.ADDRESSES])
def test_what_parts_plain_replays_is_named_by_holding_it_still(factor: Factor, tmp_path: Path) -> None:
    factors = possible((Factor.HASH_SEED, Factor.TIMEZONE, Factor.ADDRESSES))
    if factor not in factors:
        pytest.skip(f"{factor} cannot be perturbed here")
    found = by_name(judged(tmp_path, ON[factor], factors))
    assert [name for name, finding in found.items() if finding.status is Status.FAIL] == ["replay", f"replay.{factor}"]
    assert "held at one value are equal" in found[f"replay.{factor}"].why
    assert found["replay.timezone"].why == "not tested: because replays part already without it"


def test_what_parts_now_and_then_is_not_laid_on_a_factor(tmp_path: Path) -> None:
    # The first two replays are equal by chance; from the third on, each is another one.
    nth = "(open('runs', 'a').write('x'), max(1, (os.path.getsize('runs') - 1) // 3))[1]"
    factors = (Factor.HASH_SEED, Factor.TIMEZONE, Factor.SNAPSHOT)
    checked = judged(tmp_path, nth.replace("'runs'", repr(str(tmp_path / "runs"))), factors)
    found = by_name(checked)
    assert [name for name, finding in found.items() if finding.status is Status.FAIL] == ["replay"]
    assert "replay-3 parts from replay-1 at tick 2: more is " in found["replay"].why
    assert {found[f"replay.{factor}"].status for factor in factors} == {Status.INCONCLUSIVE}
    assert found["replay.timezone"].why == "not tested: because replays part already without it"


def test_a_command_finds_the_files_of_its_folder_from_elsewhere(tmp_path: Path) -> None:
    found = by_name(judged(tmp_path, "open('run.json').read()", (Factor.WORKING_FOLDER,)))
    assert found["replay.working-folder"].status is Status.PASS


def test_a_command_that_does_not_work_from_elsewhere_is_not_tested(tmp_path: Path) -> None:
    found = by_name(judged(tmp_path, f"os.listdir('../{tmp_path.name}') and 0", (Factor.WORKING_FOLDER,)))
    assert found["replay"].status is Status.PASS
    assert found["replay.working-folder"].status is Status.INCONCLUSIVE
    assert "not tested: because perturb-working-folder-1: it exited with code 1" in found["replay.working-folder"].why


def test_what_the_machine_cannot_perturb_is_not_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.replay.perturb.FAKETIME_FOLDERS", ())
    found = by_name(judged(tmp_path, "0", (Factor.CLOCK,)))
    assert found["replay.clock"].status is Status.INCONCLUSIVE
    assert found["replay.clock"].why == "not tested: because libfaketime is not installed here"


def test_a_clock_file_is_shifted_for_who_reads_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.replay.perturb.FAKETIME_FOLDERS", ())
    reads = "open(os.environ['NOW']).read() if 'NOW' in os.environ else 0"
    found = by_name(judged(tmp_path / "one", reads, (Factor.CLOCK,), clock_file="NOW"))
    assert found["replay.clock"].status is Status.FAIL
    assert 'more is "981173106000000000' in found["replay.clock"].why
    found = by_name(judged(tmp_path / "two", "0", (Factor.CLOCK,), clock_file="NOW"))
    assert found["replay.clock"].status is Status.PASS
    assert "sees 981173106000000000 and 2019686399000000000, without it no clock file" in found["replay.clock"].why


def test_a_factor_that_was_never_tried_is_not_tested(tmp_path: Path) -> None:
    found = by_name(judged(tmp_path, "0", (), perturb="all"))
    assert {found[f"replay.{factor}"].status for factor in Factor} == {Status.INCONCLUSIVE}
    assert found["replay"].status is Status.PASS


def test_without_perturb_nothing_is_added(tmp_path: Path) -> None:
    assert list(by_name(judged(tmp_path, "0", ()))) == ["replay"]
