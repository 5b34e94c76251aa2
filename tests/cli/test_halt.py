"""`chaosctl halt` and `resume`: what they say, and what they do not wait for."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chaosctl.cli.app import app
from chaosctl.errors import CleanupError, ExitCode
from chaosctl.safety import lever, runs
from chaosctl.safety.journal import journal_path

TINY = Path(__file__).parents[1] / "e2e" / "tiny" / "tiny.yaml"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "chaosctl"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_where_no_run_is_going_it_says_so_and_blocks(tmp_path: Path) -> None:
    halted = invoke("halt", "--reason", "the shop\n is open")
    assert halted.exit_code == 0
    assert ": the shop is open\nno run starts until `chaosctl resume`\nno run was going\n" in halted.output
    refused = invoke("run", str(TINY), "--out", str(tmp_path / "bundle"))
    assert getattr(refused.exception, "exit_code", None) is ExitCode.NOT_READY
    assert "the shop is open; `chaosctl resume` lets" in str(refused.exception)
    assert not (tmp_path / "bundle").exists(), "what was refused leaves nothing"
    assert "runs may start again; it was halted by " in invoke("resume").output
    assert invoke("resume").output == "nothing was halted\n"
    lever.refuse_if_pulled()


def test_a_run_that_does_not_end_is_named_with_the_way_out(tmp_path: Path) -> None:
    runs.register("stuck", tmp_path, journal_path(tmp_path), os.getpid())
    halted = invoke("halt", "--within", "0")
    assert isinstance(halted.exception, CleanupError)
    assert "run stuck: has not ended within 0 s" in str(halted.exception)
    assert f"`kill -9 {os.getpid()}`" in str(halted.exception)


def test_a_run_that_nobody_looks_after_any_more_is_named(tmp_path: Path, state: Path) -> None:
    runs.register("left", tmp_path, journal_path(tmp_path), os.getpid())
    entry = state / "runs" / "left.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "start_ticks": 1, "keeper_start_ticks": 1}))
    halted = invoke("halt")
    assert isinstance(halted.exception, CleanupError)
    assert "`chaosctl restore` does that" in str(halted.exception)
