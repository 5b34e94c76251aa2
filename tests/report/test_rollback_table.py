"""The rollback of each fault, as every reporter shows it."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chaosctl.recording.reader import Recording
from chaosctl.report.console import print_summary
from chaosctl.report.html import HtmlReporter
from chaosctl.report.json_verdict import JsonReporter
from chaosctl.report.markdown import MarkdownReporter
from chaosctl.report.tables import rollback_rows
from chaosctl.verify.contract import RollbackRow
from tests.report.bundle import MS, OUTAGE_NS, S, full_bundle, verdict

CALLED_NS = OUTAGE_NS[0]


def row(**other: Any) -> dict[str, Any]:
    """31 matches in flight: 2 resumed, 29 rolled back; 12 acknowledged operations gone, seen after 1.2 s."""
    fields: dict[str, Any] = {
        "fault": "f2-kill", "kind": "kill", "on": "world", "called_ns": CALLED_NS, "censored_ns": CALLED_NS + 11 * S,
        "in_flight": 31, "resumed": 2, "rolled_back": 29, "both": 0, "half_applied": 0, "neither": 0, "late": 0,
        "not_seen": 0, "acknowledged": 3400, "gone": 12, "unseen": 0, "oldest_acked_ns": CALLED_NS - 980 * MS,
        "observed_ns": CALLED_NS + 1200 * MS, "observed_id": 71, "observed_uncertainty_ns": 300 * MS,
        "settled_ns": CALLED_NS + 2900 * MS, "settled_id": 73, "settled_uncertainty_ns": 45 * MS,
        "never_settled": False, "uncertainty_ns": MS,
    }  # fmt: skip
    return asdict(RollbackRow(**{**fields, **other}))


def test_a_row_says_what_became_of_everything_with_its_uncertainty() -> None:
    assert rollback_rows(verdict(rollback=(row(),))) == [
        (
            "f2-kill: kill on world",
            "31",
            "2 resumed, 29 rolled back",
            "12 of 3400, the oldest 980 ms ± 1 ms before",
            "1.2 s ± 300 ms",
            "2.9 s ± 45 ms",
        )
    ]


def test_wrong_ends_stand_beside_the_good_ones() -> None:
    wrong = row(both=1, half_applied=2, neither=3, late=4, not_seen=5)
    ends = rollback_rows(verdict(rollback=(wrong,)))[0][2]
    assert ends == "2 resumed, 29 rolled back, 1 both, 2 half-applied, 3 neither, 4 too late, 5 not seen"


def test_what_never_settled_is_more_than_what_was_seen() -> None:
    endless = row(settled_ns=None, never_settled=True, unseen=7, oldest_acked_ns=None, gone=0, observed_ns=None)
    assert rollback_rows(verdict(rollback=(endless,)))[0][3:] == ("0 of 3400, 7 never looked for", "–", "> 11 s")


def test_a_row_of_another_version_is_shown_as_far_as_it_goes() -> None:
    assert rollback_rows(verdict(rollback=({},)))[0] == ("–: ? on ?", "–", "–", "0 of 0", "–", "–")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return full_bundle(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("reporter", [HtmlReporter(), MarkdownReporter()])
def test_reports_show_it(recording: Recording, reporter: Any) -> None:
    text = reporter.render(recording, verdict(rollback=(row(),)))
    for said in ("Rollback", "2 resumed, 29 rolled back", "1.2 s ± 300 ms", "2.9 s ± 45 ms"):
        assert said in text


def test_the_data_has_every_field(recording: Recording) -> None:
    text = JsonReporter().render(recording, verdict(rollback=(row(),)))
    assert all(f'"{name}"' in text for name in row())


def test_the_terminal_shows_it() -> None:
    out = io.StringIO()
    print_summary(verdict(rollback=(row(),)), Console(file=out, width=120), Path("report.html"))
    assert "Rollback, counted from the inject" in out.getvalue()
    assert "2 resumed, 29 rolled" in out.getvalue()
