"""The table of releases: every number with its ±, what never came back with a `>`, what nobody knows as a dash."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chaosctl.report.console import print_summary
from chaosctl.report.recorded_facts import recorded_facts
from chaosctl.report.releases import RELEASE_COLUMNS, release_rows
from chaosctl.verify.contract import ReleaseRow
from chaosctl.verify.judge import judge
from chaosctl.verify.verdict_json import verdict_from_dict, verdict_to_dict
from tests.fixtures.generator import TIMELINE_START, TrueFault, Truth, make
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
        ({}, "release", "f1-deploy: 2 on world"),
        ({}, "there for", "4.7 s"),
        ({"both_for_ns": 1_600_000_000}, "there for", "4.7 s, 1.6 s of it beside the good one"),
        ({}, "good again", "430 ms ± 50 ms"),
        ({"served_again_ns": None}, "good again", "> 15 s"),
        ({}, "failed", "70 of 440 (15.9 %)"),
        ({"operations": 0, "failed": 0}, "failed", "0 of 0"),
        ({}, "answered by it", "333 of 370 (90 %)"),
        ({"answered_by_bad": None}, "answered by it", "–"),
        ({}, "left unreadable", "nothing"),
        ({"good_exits": 3, "good_unready": 1}, "left unreadable", "4 failed starts"),
        ({"good_exits": 1, "lost": 7}, "left unreadable", "1 failed start, 7 missing"),
    ],
)
def test_a_cell_of_a_release(changed: dict[str, Any], column: str, expected: str) -> None:
    (row,) = release_rows(replace(verdict(), releases=(asdict(replace(ROW, **changed)),)))
    assert row[RELEASE_COLUMNS.index(column)] == expected


def test_an_explanation_tells_which_version_started_what_it_said_and_when_the_good_one_served_again(
    tmp_path: Path,
) -> None:
    of: dict[str, Any] = {"service": "world", "replica": 0}
    at = TIMELINE_START
    truth = Truth(
        objectives={"release": {"serves_again": "5s"}},
        faults=[TrueFault("f1-deploy", "deploy", heal=at + 2 * S, params={"version": "2"})],
        events=[
            (at + 1, "service_started", {**of, "pid": 2, "start": 2, "version": "2"}),
            (at + 2, "service_ready", of),
            (at + 2 * S + 1, "service_exited", {**of, "pid": 2, "code": 1, "expected": False, "said": ["no", "log"]}),
            (at + 2 * S + 2, "service_started", {**of, "pid": 3, "start": 3}),
            (at + 2 * S + 3, "service_ready", of),
        ],
    )
    recording = make(tmp_path / "run", truth)
    words = [fact[2] for fact in recorded_facts(recording, judge(recording), "release", None)]
    told = [one for one in words if "world[0]" in one or "good version" in one]
    assert told[-6:] == [
        "world[0] starts as version 2",
        "world[0] is ready",
        "world[0] ended (code 1), by itself; its last words: no | log",
        "world[0] starts as the target's own version",
        "world[0] is ready",
        "f1-deploy: the good version serves again",
    ]


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
