"""A checker that raises: inconclusive, its traceback in the bundle, and never in the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from typer.testing import CliRunner

from chaosctl.cli.app import app
from chaosctl.report.html import HtmlReporter
from chaosctl.verify.contract import Checker
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, S, Truth, adds_and_read, make

SAID = "the checker crashed: ZeroDivisionError: planted"
REPORTS = ("verdict.json", "junit.xml", "summary.md")


class Raising:
    """A checker like another, but for its judgement."""

    def __init__(self, other: Checker) -> None:
        self.kind = other.kind

    def check(self, *_: object) -> Any:
        raise ZeroDivisionError("planted")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a run of two objectives, of which one's checker raises from now on."""
    objectives = {"lost_acks": 0, "exactly_once": 0}
    make(tmp_path, Truth(objectives=objectives, faults=(), history=adds_and_read, end=LOAD_START + 6 * S, rate_per_s=2))
    found: Mapping[str, Checker] = checkers()
    broken = MappingProxyType({**found, "lost_acks": Raising(found["lost_acks"])})
    monkeypatch.setattr("chaosctl.verify.judge.checkers", lambda: broken)
    monkeypatch.setattr(HtmlReporter, "render", lambda *_: "a page")
    return tmp_path


@pytest.mark.parametrize(
    "words", [("verify",), ("verify", "--json"), ("explain",), ("explain", "lost_acks"), ("report",)]
)
def test_the_trace_is_in_the_bundle_and_not_in_the_terminal(bundle: Path, words: tuple[str, ...]) -> None:
    command, *more = words
    ended = CliRunner().invoke(app, [command, str(bundle), *more])
    assert ended.exit_code == (6 if command == "verify" else 0), ended.output
    assert "Traceback" not in ended.output
    if command != "report":
        assert (SAID if more or command == "verify" else "inconclusive") in " ".join(ended.output.split())
    log = (bundle / "logs" / "checkers.log").read_text()
    assert log.startswith("lost_acks\nTraceback") and "ZeroDivisionError: planted" in log
    assert log.count("Traceback") == 1, "the other one did not crash"


def test_the_verdict_names_the_log_and_no_report_holds_the_trace(bundle: Path) -> None:
    CliRunner().invoke(app, ["report", str(bundle)])
    for name in REPORTS:
        text = (bundle / name).read_text()
        assert "Traceback" not in text and "ZeroDivisionError" in text
    verdict = json.loads((bundle / "verdict.json").read_text())
    crashed, judged = sorted(verdict["objectives"], key=lambda one: one["name"] != "lost_acks")
    assert (crashed["status"], judged["status"]) == ("inconclusive", "pass")
    assert crashed["evidence"][0]["file"] == "logs/checkers.log" and (bundle / "logs/checkers.log").is_file()


def test_a_bundle_that_cannot_be_written_still_has_its_verdict(bundle: Path) -> None:
    (bundle / "logs").rmdir()
    (bundle / "logs").write_text("in the way")
    ended = CliRunner().invoke(app, ["verify", str(bundle)])
    assert ended.exit_code == 6 and SAID in " ".join(ended.output.split())
    assert "could not be kept" in ended.output and "Traceback" not in ended.output
