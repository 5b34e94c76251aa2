"""`chaosctl run --trials`: what is left on disk, what is said, with which exit code. The playing itself is faked."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from chaosctl.cli import run, trials
from chaosctl.cli.app import app
from chaosctl.cli.trials import trial_seeds
from chaosctl.errors import RecordingError, UsageError
from chaosctl.plan.model import Plan
from chaosctl.report.html import HtmlReporter
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

TINY = Path(__file__).parents[1] / "e2e" / "tiny" / "tiny.yaml"
OUTAGE = {"p": 1, "f": 8}  # s


class Played:
    """Stands in for the run: trial by trial a recording that passes, fails, or was interrupted."""

    def __init__(self, ends: str) -> None:
        self.ends = ends
        self.seeds: list[int] = []

    def __call__(self, _how: Any, plan: Plan, folder: Path, run_id: str, series: Mapping[str, Any] | None) -> None:
        end = self.ends[len(self.seeds)]
        self.seeds.append(plan.seed)
        interrupted = {"ended": "interrupted", "events": [(S, "interrupted", {"signal": "SIGINT"})]}
        truth = {
            "objectives": {"recovery": {"serviceable": "3s"}},
            "faults": [TrueFault(ready=TIMELINE_START + S)],
            "outages": [(TIMELINE_START, TIMELINE_START + OUTAGE.get(end, 1) * S)],
            "end": LOAD_START + 20 * S,
            "every": 100 * MS,
            "rate_per_s": 5,
        }
        make(folder, Truth(**{**truth, **(interrupted if end == "i" else {})}))  # type: ignore[arg-type]
        identity = {"run_id": run_id, "seed": plan.seed, "experiment": plan.experiment, "wall": "2026-01-02T03:04:05"}
        (folder / "run.json").write_text(json.dumps({**identity, **({"trials": series} if series else {})}))


def invoke(monkeypatch: pytest.MonkeyPatch, ends: str, *words: str | Path) -> tuple[Played, Result]:
    played = Played(ends)
    monkeypatch.setattr(run, "record", played)
    monkeypatch.setattr(HtmlReporter, "render", lambda *_: "a page, which takes long to draw")
    return played, CliRunner().invoke(app, ["run", str(TINY), *map(str, words)])


def test_every_trial_is_a_bundle_and_the_summary_is_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played, ended = invoke(monkeypatch, "pfp", "--trials", "3", "--seed", "7", "--out", tmp_path)
    assert ended.exit_code == 1, ended.output
    assert played.seeds == list(trial_seeds(7, 3)) and played.seeds[0] == 7
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"trial-1", "trial-2", "trial-3", "trials.json", "trials.html", "summary.md"}
    summary = json.loads((tmp_path / "trials.json").read_text())
    assert [row["seed"] for row in summary["trials"]] == played.seeds
    assert [row["status"] for row in summary["trials"]] == ["pass", "fail", "pass"]
    assert all((tmp_path / f"trial-{n}" / "report.html").is_file() for n in (1, 2, 3))
    assert "trial 2 of 3  ✘ fail" in ended.stdout
    assert "flaky: failed 1 of 3" in ended.stdout
    assert f"Report: {tmp_path / 'trials.html'}" in ended.stdout


def test_one_trial_is_an_ordinary_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ended = invoke(monkeypatch, "p", "--trials", "1", "--out", tmp_path / "run")
    assert ended.exit_code == 0, ended.output
    assert (tmp_path / "run" / "run.json").is_file() and not (tmp_path / "run" / "trials.json").exists()


@pytest.mark.parametrize("value", ["0", "-1", "1001", "many", "1.5"])
def test_a_number_that_is_none_is_a_usage_error(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played, ended = invoke(monkeypatch, "", "--trials", value, "--out", tmp_path / "out")
    assert ended.exit_code == 2 and "--trials" in ended.output
    assert played.seeds == [] and not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("")
    played, ended = invoke(monkeypatch, "pp", "--trials", "2", "--out", tmp_path)
    assert isinstance(ended.exception, UsageError) and played.seeds == []


def test_quiet_prints_one_line_and_json_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, quiet = invoke(monkeypatch, "pp", "--trials", "2", "--quiet", "--out", tmp_path / "a")
    assert (quiet.exit_code, quiet.stdout) == (0, f"pass {tmp_path / 'a' / 'trials.html'}\n")
    _, data = invoke(monkeypatch, "pp", "--trials", "2", "--json", "--out", tmp_path / "b")
    assert json.loads(data.stdout) == json.loads((tmp_path / "b" / "trials.json").read_text())


def test_an_interrupted_trial_is_the_last_and_what_is_there_is_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played, ended = invoke(monkeypatch, "pippppppp", "--trials", "9", "--out", tmp_path)
    assert len(played.seeds) == 2
    assert ended.exit_code == 130
    summary = json.loads((tmp_path / "trials.json").read_text())
    assert (summary["status"], summary["exit_code"], summary["asked"]) == ("inconclusive", 130, 9)
    assert "7 of 9 trials were not run" in ended.stdout


def test_an_interrupt_while_judging_leaves_a_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line's own handler does, at a moment when no run is there to take the signal."""
    judged = trials._play_one

    def interrupted(series: trials.Series, number: int, seed: int, play: trials.Play) -> Any:
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return judged(series, number, seed, play)

    def leave(*_: object) -> None:
        raise SystemExit(130)

    before = signal.signal(signal.SIGINT, leave)
    monkeypatch.setattr(trials, "_play_one", interrupted)
    try:
        _, ended = invoke(monkeypatch, "ffp", "--trials", "3", "--out", tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.exit_code == 130
    assert "1 of 3 trials were not run" in ended.stdout
    assert json.loads((tmp_path / "trials.json").read_text())["status"] == "fail"


def test_a_report_that_cannot_be_written_ends_the_trials_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RecordingError("the disk is full")

    monkeypatch.setattr("chaosctl.report.write.write_reports", refuse)
    played, ended = invoke(monkeypatch, "pp", "--trials", "2", "--out", tmp_path)
    assert isinstance(ended.exception, RecordingError) and len(played.seeds) == 1
    summary = json.loads((tmp_path / "trials.json").read_text())
    assert summary["notes"] == ["trial 1 was not judged", "1 of 2 trials were not run"]


@pytest.fixture
def series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of two trials, the second a fail."""
    folder = tmp_path / "series"
    invoke(monkeypatch, "pf", "--trials", "2", "--out", folder)
    return folder


def test_report_sums_up_again_what_is_there(series: Path) -> None:
    made = {name: (series / name).read_bytes() for name in ("trials.json", "trials.html", "summary.md")}
    for name in made:
        (series / name).unlink()
    again = CliRunner().invoke(app, ["report", str(series)])
    assert again.exit_code == 0, again.output
    assert {name: (series / name).read_bytes() for name in made} == made
    (series / "trial-2" / "verdict.json").write_text("{")
    assert CliRunner().invoke(app, ["report", str(series)]).exit_code == 0
    summary = json.loads((series / "trials.json").read_text())
    assert (summary["status"], summary["notes"]) == ("inconclusive", ["trial 2 was not judged"])


def test_verify_judges_every_trial_again_and_writes_nothing(series: Path) -> None:
    (series / "trial-2" / "verdict.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in series.rglob("*")}
    again = CliRunner().invoke(app, ["verify", str(series), "--json"])
    assert again.exit_code == 1
    assert json.loads(again.stdout) == json.loads((series / "trials.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in series.rglob("*")} == before


def test_runs_lists_the_series_as_one(series: Path) -> None:
    (line,) = CliRunner().invoke(app, ["runs", str(series.parent)]).stdout.splitlines()
    assert "fail" in line and "tiny" in line and line.endswith(f"{series}  (2 trials: 1 fail, 1 pass)")


def test_other_commands_ask_for_one_of_the_trials(series: Path) -> None:
    ended = CliRunner().invoke(app, ["explain", str(series)])
    assert isinstance(ended.exception, UsageError)
    assert f"name one of them, such as {series / 'trial-1'}" in str(ended.exception)
    assert CliRunner().invoke(app, ["explain", str(series / "trial-2")]).exit_code == 0


def test_seeds_are_drawn_from_the_first_whatever_their_number() -> None:
    assert trial_seeds(7, 3) == trial_seeds(7, 9)[:3]
    assert len(set(trial_seeds(7, 100))) == 100
    assert set(trial_seeds(7, 9)) & set(trial_seeds(8, 9)) == set()
