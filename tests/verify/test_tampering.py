"""`replay.isolation` and reproducers, judged from what a run recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosctl.recording.factors import Factor
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import Truth, make

SAME = [{"tick": n, "digest": f"d{n}"} for n in range(5)]
OTHER = [*SAME[:3], {"tick": 3, "digest": "x"}]
CODES = {"replay-1": 0, "replay-2": 0}
Events = Sequence[tuple[int, str, Mapping[str, Any]]]


def tampered(trial: int, noticed: bool | None, how: str = "h") -> tuple[int, str, Mapping[str, Any]]:
    fields = {"trial": trial, "change": "drop", "tick": 9, "input": 0, "text": "without 7", "noticed": noticed}
    return (5, "tampered", {**fields, "how": how})


def check(folder: Path, events: Events, second: Any = SAME, **params: Any) -> Mapping[str, Finding]:
    digests = {"replay-1": SAME, "replay-2": second}
    recording = make(folder, Truth(digests=digests, replay_codes=CODES, events=events))
    checked = CHECKER.check(recording, ReplayParams.model_validate({"runs": 2, **params}))
    return {finding.name: finding for finding in checked.findings}


@pytest.mark.parametrize(
    ("events", "status", "why"),
    [
        ([tampered(0, False), tampered(1, True), tampered(2, True)], Status.PASS, "2 changed logs"),
        ([tampered(0, False), tampered(1, True), tampered(2, False)], Status.FAIL, "do not cover without 7 in tick 9"),
        # Not one of them can be told from the others by where it stands.
        ([tampered(2, False), tampered(0, False), tampered(1, True)], Status.FAIL, "1 of 2 changed logs"),
        ([tampered(0, False), tampered(1, True)], Status.INCONCLUSIVE, "1 of 2 changes were tried"),
        ([tampered(0, False), tampered(1, True), tampered(2, None, "it hung")], Status.INCONCLUSIVE, "it hung"),
        ([tampered(0, True, "other"), tampered(1, True), tampered(2, True)], Status.INCONCLUSIVE, "written anew"),
        ([tampered(0, None, "no data")], Status.INCONCLUSIVE, "not tested: because no data"),
        ([tampered(1, True), tampered(2, True)], Status.INCONCLUSIVE, "not recorded that it was tried"),
        ([], Status.INCONCLUSIVE, "not recorded that it was tried"),
    ],
)
def test_isolation(tmp_path: Path, events: Events, status: Status, why: str) -> None:
    finding = check(tmp_path, events, tamper=2)["replay.isolation"]
    assert finding.status is status
    assert why in finding.why


def test_isolation_means_nothing_where_replays_part_already(tmp_path: Path) -> None:
    events = [tampered(0, False), tampered(1, True), tampered(2, True)]
    finding = check(tmp_path, events, OTHER, tamper=2)["replay.isolation"]
    assert (finding.status, finding.why) == (
        Status.INCONCLUSIVE,
        "not tested: because replays part already without it",
    )


def test_isolation_is_judged_where_it_was_asked_for(tmp_path: Path) -> None:
    assert set(check(tmp_path, [tampered(0, False)])) == {"replay"}


def minimised(factor: str, **fields: Any) -> tuple[int, str, Mapping[str, Any]]:
    said = {"from_ticks": 100, "from_inputs": 900, "to_ticks": 2, "inputs": 3, "minimal": True, "why": None}
    file = f"reproducer/{factor}/input.log"
    return (5, "minimised", {"factor": factor, **said, "file": file, "shown": "chaosctl replay R", **fields})


def test_a_reproducer_is_named_first_with_its_command(tmp_path: Path) -> None:
    finding = check(tmp_path, [minimised("plain")], OTHER)["replay"]
    assert finding.status is Status.FAIL
    assert finding.why.endswith("3 inputs in 2 ticks show it: reproducer/plain/input.log")
    first = finding.evidence[0]
    assert (first.file, first.where) == ("reproducer/plain/input.log", "3 inputs in 2 ticks show it")
    assert first.text == "of 900 in 100, none can be left out; this shows it: chaosctl replay R"


def test_one_that_could_not_be_made_says_why(tmp_path: Path) -> None:
    finding = check(tmp_path, [minimised("plain", file=None, why="it did not part again")], OTHER)["replay"]
    assert finding.why.endswith("not minimised: it did not part again")
    assert finding.evidence[0].file == "digests/replay-1.jsonl"


def test_one_under_a_factor_belongs_to_it_and_to_plain_replays_only_where_they_part(tmp_path: Path) -> None:
    events = [minimised("clock", pinned=True)]
    assert "reproducer/clock" in check(tmp_path / "pinned", events, OTHER)["replay"].why
    canary = (1, "replay_canary", {"factor": "clock", "reached": True, "text": "seen"})
    digests = {"replay-1": SAME, "replay-2": SAME, "perturb-clock-1": OTHER}
    codes = dict.fromkeys(digests, 0)
    recording = make(tmp_path / "b", Truth(digests=digests, replay_codes=codes, events=[canary, minimised("clock")]))
    found = CHECKER.check(recording, ReplayParams(runs=2, perturb=(Factor.CLOCK,))).findings
    assert [finding.status for finding in found] == [Status.PASS, Status.FAIL]
    assert "reproducer" not in found[0].why and "reproducer/clock" in found[1].why
