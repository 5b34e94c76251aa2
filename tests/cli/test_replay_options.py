"""What `chaosctl replay` refuses before it replays anything, and what its options ask for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from chaosctl.cli import replay
from chaosctl.cli.replay import _params
from chaosctl.errors import UsageError
from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Checked, Finding, Quantity, Status


def test_the_options_become_the_objective() -> None:
    params = _params("clock,cpu", 5, 8, "90s", True)
    assert (params.runs, params.tamper, params.minimise_ns) == (5, 8, 90_000_000_000)
    assert params.perturb == ("clock", "cpu")
    assert _params("none", 2, 0, "90s", False).minimise_ns is None


@pytest.mark.parametrize(
    ("perturb", "within", "said"),
    [
        ("", "1s", "write all, none, or of hash-seed"),
        ("tide", "1s", "'tide' is no factor"),
        ("none", "soon", "--minimise-within soon: 'soon' is not a duration"),
    ],
)
def test_what_means_nothing_is_refused(perturb: str, within: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        _params(perturb, 2, 0, within, False)


@pytest.mark.parametrize(("shorten", "parts", "said"), [(True, None, True), (True, 3, False), (False, None, False)])
def test_it_says_that_there_is_nothing_to_minimise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shorten: bool, parts: int | None, said: bool
) -> None:
    one = Quantity(2, "replays")
    finding = Finding("replay", "replay", Status.PASS, ">=", one, one, 0.0, "the same", ())
    row: dict[str, Any] = {"run": "replay-1", "factor": "cpu", "against": "live", "first_divergence": parts}
    monkeypatch.setattr(Recording, "open", lambda folder: SimpleNamespace(folder=folder))
    monkeypatch.setattr(replay, "find_run", lambda run: run)
    monkeypatch.setattr(replay, "experiment_of", lambda recording: None)
    monkeypatch.setattr(replay, "_replay", lambda *given: Checked((finding,), {"replays": (row,)}))
    with pytest.raises(typer.Exit):
        replay.command(Path("run"), shorten=shorten)
    assert ("nothing to minimise" in capsys.readouterr().out) is said
