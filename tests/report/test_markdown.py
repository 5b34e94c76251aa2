"""Markdown that a hostile name cannot break out of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.reader import Recording
from chaosctl.report.markdown import MAX_BYTES, MarkdownReporter, code, cut, escape
from chaosctl.verify.contract import Status
from tests.report.bundle import DIVERGENCE, HOSTILE, LOST, UNSEEN, empty_bundle, finding, verdict


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return empty_bundle(tmp_path / "run")


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_it_says_what_failed_and_how_to_run_it_again(recording: Recording) -> None:
    text = MarkdownReporter().render(recording, verdict(Status.FAIL, finding(), LOST, UNSEEN, replays=(DIVERGENCE,)))
    assert text.startswith("## ❌ world-crash: fail\n")
    assert "1 of 3 objectives failed" in text
    assert "| ✘ fail | lost\\_acks | = 0 operations | 3 ± 0 operations |" in text
    assert "| players.near-3.gold | 10 | 12 |" in text
    assert "chaosctl run 'experiments/a b.yaml' --seed 7" in text


def test_every_row_has_the_columns_of_its_table(recording: Recording) -> None:
    judged = verdict(
        Status.FAIL, finding(HOSTILE, Status.FAIL, HOSTILE), notes=(HOSTILE,), rollback=({"fault": HOSTILE},)
    )
    text = MarkdownReporter().render(recording, judged)
    assert "<script" not in text
    assert "](http" not in text
    bars = [row.replace("\\|", "").count("|") for row in table_rows(text)]
    rules = [row for row in table_rows(text) if set(row) <= set("|- ")]
    assert len(rules) == 5
    assert set(bars) == {rule.count("|") for rule in rules}


@given(st.text())
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown and "<" not in shown and "@" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")


@given(st.text(alphabet="`a\n"))
def test_code_cannot_close_its_fence(text: str) -> None:
    first, *middle, last = code(text).split("\n")
    assert first == last
    assert all(first not in line for line in middle)


def test_it_is_never_more_than_github_takes(recording: Recording) -> None:
    many = [finding(f"o{index}", Status.FAIL, "because " * 2000) for index in range(150)]
    text = MarkdownReporter().render(recording, verdict(Status.FAIL, *many))
    assert len(text.encode()) <= MAX_BYTES
    assert text.endswith("verdict.json.*\n")
    assert "more rows" in MarkdownReporter().render(recording, verdict(Status.FAIL, *[LOST] * 300))


@given(st.text(max_size=300), st.integers(80, 200))
def test_cutting_keeps_whole_characters(text: str, most: int) -> None:
    assert len(cut(text, most).encode()) <= max(most, len(text.encode()) if len(text.encode()) <= most else most)
