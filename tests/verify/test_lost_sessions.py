"""`lost_sessions`: a passing, a failing and an inconclusive recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, S, Truth, make

CHECKER = checkers()["lost_sessions"]


def check(folder: Path, *lives: str, at_most: int = 0) -> Finding:
    """Judge sessions s0, s1 ... with the words of each a second apart."""

    def write(writer: HistoryWriter) -> None:
        for number, life in enumerate(lives):
            for at, word in enumerate(life.split()):
                now = LOAD_START + at * S
                writer.write(now, Mark.OK, 100 * number + at, f"b{number}", "session", f"s{number}", word)

    recording = make(folder, Truth(history=write))
    (finding,) = CHECKER.check(recording, CHECKER.kind.params.model_validate(at_most)).findings
    return finding


@pytest.mark.parametrize(
    ("lives", "status", "lost"),
    [
        (("open cut resumed closed", "open closed"), Status.PASS, 0),
        (("open", "open closed"), Status.PASS, 0),
        (("open cut lost closed", "open cut resumed"), Status.FAIL, 1),
        (("open cut lost cut lost", "open"), Status.FAIL, 2),
        (("open cut cut cut resumed", "open"), Status.PASS, 0),
        (("open cut resumed cut", "open cut resumed"), Status.INCONCLUSIVE, 0),
        (("open cut lost", "open cut"), Status.FAIL, 1),
        (("open cut closed resumed", "open"), Status.PASS, 0),
        (("open cut open closed", "open cut resumed"), Status.INCONCLUSIVE, 0),
        (("open cut closed", "open"), Status.INCONCLUSIVE, 0),
        (("open cut open cut lost", "open"), Status.FAIL, 1),
        ((), Status.INCONCLUSIVE, None),
    ],
)
def test_sessions_are_followed_to_the_end(
    tmp_path: Path, lives: tuple[str, ...], status: Status, lost: int | None
) -> None:
    finding = check(tmp_path, *lives)
    assert (finding.status, finding.measured.value) == (status, lost), finding.why


def test_some_may_be_lost_if_it_is_said(tmp_path: Path) -> None:
    assert check(tmp_path, "open cut lost", "open", at_most=1).status is Status.PASS


def test_the_evidence_names_the_line_and_the_cut(tmp_path: Path) -> None:
    (one,) = check(tmp_path, "open", "open cut lost").evidence
    assert (one.file, one.where) == ("history.jsonl", "id 102")
    assert one.text == "the session s1, cut at 2s, was found lost at 3s"
