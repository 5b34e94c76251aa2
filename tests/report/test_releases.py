"""The table of releases: every number with its ±, what never came back with a `>`, what nobody knows as a dash."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from typing import Any

import pytest
from rich.console import Console

from chaosctl.report.console import print_summary
from chaosctl.report.releases import RELEASE_COLUMNS, release_rows
from chaosctl.verify.contract import ReleaseRow
from chaosctl.verify.verdict_json import verdict_from_dict, verdict_to_dict
from tests.report.bundle import verdict

S = 1_000_000_000
ROW = ReleaseRow(
    deploy="f1-deploy",
    rollback="f2-rollback",
    on="world",
    version="2",
    deployed_ns=10 * S,
    rolled_back_ns=15 * S,
    censored_ns=30 * S,
    bad_for_ns=4_700_000_000,
    both_for_ns=0,
    served_again_ns=15 * S + 430_000_000,
    uncertainty_ns=50_000_000,
    operations=440,
    failed=70,
    answered_by_bad=333,
    good_exits=0,
    good_unready=0,
    lost=0,
)


@pytest.mark.parametrize(
    ("changed", "column", "expected"),
    [
        ({}, "release", "f1-deploy: version 2 of world"),
        ({}, "bad for", "4.7 s"),
        ({}, "good again, after rollback", "430 ms ± 50 ms"),
        ({"served_again_ns": None}, "good again, after rollback", "> 15 s"),
        ({}, "failed", "70 of 440 (15.9 %)"),
        ({"operations": 0, "failed": 0}, "failed", "0 of 0"),
        ({}, "answered by the bad one", "333 of 370 (90 %)"),
        ({"answered_by_bad": None}, "answered by the bad one", "–"),
        ({"both_for_ns": 1_600_000_000}, "both at once", "1.6 s"),
        ({"good_exits": 3, "good_unready": 1}, "good one's failed starts", "4"),
        ({"lost": 7}, "missing", "7"),
    ],
)
def test_a_cell_of_a_release(changed: dict[str, Any], column: str, expected: str) -> None:
    (row,) = release_rows(replace(verdict(), releases=(asdict(replace(ROW, **changed)),)))
    assert row[RELEASE_COLUMNS.index(column)] == expected


def test_releases_come_back_from_the_file_and_older_files_have_none() -> None:
    whole = replace(verdict(), releases=(asdict(ROW),))
    plain = verdict_to_dict(whole)
    assert verdict_from_dict(plain).releases == whole.releases
    del plain["releases"]
    assert verdict_from_dict(plain).releases == ()


def test_the_terminal_shows_them_where_there_are_any() -> None:
    for rows in ((), (asdict(ROW),)):
        console = Console(file=io.StringIO(), width=200)
        print_summary(replace(verdict(), releases=rows), console, None)
        assert isinstance(console.file, io.StringIO)
        said = console.file.getvalue()
        assert ("Release rollback" in said) == ("333 of 370" in said) == bool(rows)
