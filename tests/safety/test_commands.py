"""Commands of the operator: run as they are, within their bound, and never an exception."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from chaosctl.safety.commands import run_command
from chaosctl.safety.label import LABEL
from chaosctl.safety.processes import look
from chaosctl.safety.undo import CommandUndo, from_json, play, to_json

from .conftest import wait_until


def run(tmp_path: Path, *argv: str, within_s: float = 10.0) -> tuple[int | None, str]:
    ran = run_command(argv, str(tmp_path), str(tmp_path / "log"), os.environ, within_s)
    return ran.code, ran.text


def test_no_shell_reads_the_words_and_the_last_line_is_told(tmp_path: Path) -> None:
    code, text = run(tmp_path, "echo", "$HOME; exit 3")
    assert (code, text.endswith(" and said: $HOME; exit 3")) == (0, True)
    code, text = run(tmp_path, "sh", "-c", "pwd; echo to here >&2; exit 3")
    assert (code, "exited with 3" in text, text.endswith(" and said: to here")) == (3, True, True)
    assert (tmp_path / "log").read_text() == f"$HOME; exit 3\n{tmp_path}\nto here\n"


def test_one_that_says_nothing_is_not_given_the_words_of_another(tmp_path: Path) -> None:
    run(tmp_path, "echo", "first")
    assert "said" not in run(tmp_path, "true")[1]


def test_what_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    code, text = run(tmp_path, "sh", "-c", "sleep 60 & echo $!; wait", within_s=0.5)
    assert (code, "did not end within 0.5 s" in text) == (None, True)
    child = int((tmp_path / "log").read_text())
    wait_until(lambda: (found := look(child)) is None or found.ended, "its child is gone")


def test_what_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    begin_s = time.monotonic()
    code, _ = run(tmp_path, "sh", "-c", "exec setsid sleep 20 & echo $!", within_s=15.0)
    os.kill(int((tmp_path / "log").read_text()), 9)
    assert (code, time.monotonic() - begin_s < 15) == (0, True)


@pytest.mark.parametrize("argv", [("no-such-program",), ("/",), ("a\0b",)])
def test_what_cannot_be_started_is_said(tmp_path: Path, argv: tuple[str, ...]) -> None:
    code, text = run(tmp_path, *argv)
    assert (code, "cannot be started" in text) == (None, True)


def test_a_log_that_cannot_be_written_keeps_nothing_from_being_healed(tmp_path: Path) -> None:
    ran = run_command(["touch", "healed"], str(tmp_path), str(tmp_path / "no" / "log"), os.environ, 10.0)
    assert (ran.code, (tmp_path / "healed").exists()) == (0, True)


def test_as_an_undo_it_carries_no_label_and_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LABEL, "some-run")
    monkeypatch.setenv("TOKEN", "s3cret-value")
    show = "import os; print(os.environ.get('TOKEN'), os.environ.get('CHAOSCTL_RUN'))"
    undo = CommandUndo((sys.executable, "-c", show), str(tmp_path), str(tmp_path / "log"), 10.0)
    assert "s3cret-value" not in str(to_json(undo))
    played = play(from_json(to_json(undo)))
    assert (played.action, played.done) == (undo, True)
    assert (tmp_path / "log").read_text() == "s3cret-value None\n"


def test_an_undo_that_fails_is_not_done(tmp_path: Path) -> None:
    played = play(CommandUndo(("sh", "-c", "echo no route; exit 255"), str(tmp_path), str(tmp_path / "log"), 10.0))
    assert (played.done, played.text.endswith("and said: no route")) == (False, True)
