"""`chaosctl explain`: what reaches the terminal, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaosctl.cli.app import app
from chaosctl.errors import ExitCode, UsageError
from tests.fixtures.generator import LOAD_START, TIMELINE_START, S, TrueFault, Truth, make

FAULT = TrueFault(ready=TIMELINE_START + S)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a recorded run whose only objective fails, below a proof that means harm to a terminal."""
    hostile = {"fault": FAULT.id, "proved": True, "proof": "\x1b[31m[bold]seen[/bold]\x1b]0;title\x07"}
    events = [(TIMELINE_START, "fault_heal_proved", hostile)]
    objectives = {"recovery": {"serviceable": "3s"}}
    outages = [(TIMELINE_START, TIMELINE_START + 4 * S)]
    make(
        tmp_path, Truth(objectives=objectives, faults=[FAULT], outages=outages, events=events, end=LOAD_START + 20 * S)
    )
    return tmp_path


def test_a_line_an_objective_or_the_whole_of_one(bundle: Path) -> None:
    every = CliRunner().invoke(app, ["explain", str(bundle)])
    assert every.exit_code == 0
    assert every.stdout.splitlines()[1].startswith("✘ fail")
    one = CliRunner().invoke(app, ["explain", str(bundle), "recovery"])
    assert one.exit_code == 0
    for title in ("What it means", "Parameters", "What was recorded, in order", "The numbers", "Where it stands"):
        assert f"\n{title}" in one.stdout


def test_what_a_recording_says_is_text_and_not_orders_to_the_terminal(bundle: Path) -> None:
    said = CliRunner().invoke(app, ["explain", str(bundle), "recovery"]).stdout
    assert "\x1b" not in said and "\x07" not in said
    assert "[bold]seen[/bold]" in said


def test_an_unknown_objective_is_a_usage_error(bundle: Path) -> None:
    ended = CliRunner().invoke(app, ["explain", str(bundle), "recovry"])
    assert isinstance(ended.exception, UsageError)
    assert ended.exception.exit_code == ExitCode.USAGE
    assert "did you mean 'recovery'?" in str(ended.exception)
