"""The safety lever: who pulled it, that it stays pulled, and that a pull cannot be missed."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import lever
from chaosctl.safety.lever import Lever


@pytest.fixture
def file(state_home: Path) -> Path:
    return state_home / "chaosctl" / "lever.json"


def test_untouched_it_refuses_nothing(file: Path) -> None:
    lever.refuse_if_pulled()
    assert lever.read() == Lever()
    assert lever.pulled_since(Lever()) is None
    assert lever.lift() is None


def test_pulled_it_refuses_and_names_who_when_why_and_the_mend(file: Path) -> None:
    halt = lever.pull("the shop is open")
    assert "@" in halt.by
    with pytest.raises(NotReadyError) as refused:
        lever.refuse_if_pulled()
    assert str(refused.value) == (
        f"no run starts: halted by {halt.by} at {halt.at}: the shop is open; `chaosctl resume` lets runs start again"
    )


def test_pulled_twice_the_first_notice_stays(file: Path) -> None:
    first = lever.pull("fire")
    assert lever.pull("still fire") == first
    assert lever.read().halt == first
    assert lever.lift() == first
    assert lever.lift() is None
    lever.refuse_if_pulled()
    assert lever.pull("again").reason == "again"


def test_a_run_notices_a_pull_that_was_lifted_at_once(file: Path) -> None:
    before = lever.read()
    lever.pull("a test of the lever")
    lever.lift()
    halt = lever.pulled_since(before)
    assert halt is not None
    assert halt.reason == "a test of the lever"
    assert lever.pulled_since(lever.read()) is None, "a run that starts afterwards is not meant"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pulls": 1}', '{"pulls": "x", "in_force": true, "halt": {}}'])
def test_what_cannot_be_understood_counts_as_pulled(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(NotReadyError, match=r"lever\.json cannot be read \(it is damaged\)"):
        lever.refuse_if_pulled()
    assert lever.pulled_since(Lever(pulls=5)) is not None
    lever.lift()
    lever.refuse_if_pulled()


def test_where_it_cannot_be_written_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotReadyError, match=r"cannot be changed .*; mend the rights of its folder"):
        lever.pull("")


def _pull_often(times: int) -> None:
    for _ in range(times):
        lever.pull("all at once")


def test_no_pull_is_lost_where_several_pull(file: Path) -> None:
    pulling = [multiprocessing.get_context("fork").Process(target=_pull_often, args=(10,)) for _ in range(4)]
    for one in pulling:
        one.start()
    for one in pulling:
        one.join(20)
    assert lever.read().pulls == 40
