from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from chaosctl.verify.conserved import CHECKER, ConservedParams
from chaosctl.verify.contract import Finding, Status
from tests.fixtures.generator import LOAD_START, TIMELINE_START, S, TrueFault, Truth, make

HEALED = TIMELINE_START + 2 * S


def check(folder: Path, totals: Sequence[tuple[int, float | None]]) -> Finding:
    truth = Truth(totals=totals, faults=[TrueFault(ready=HEALED)])
    (finding,) = CHECKER.check(make(folder, truth), ConservedParams.model_validate(["gold"])).findings
    return finding


def test_equal_totals_pass(tmp_path: Path) -> None:
    finding = check(tmp_path, [(LOAD_START, 1000), (TIMELINE_START, None), (HEALED + S, 1000)])
    assert finding.status is Status.PASS
    assert finding.name == "conserved.gold"
    assert (finding.expected.value, finding.measured.value, finding.measured.unit) == (1000, 1000, "gold")
    assert "1 times nobody answered" in finding.why


def test_a_moved_total_fails_even_if_it_comes_back(tmp_path: Path) -> None:
    finding = check(tmp_path, [(LOAD_START, 1000), (TIMELINE_START, 990), (HEALED + S, 1000)])
    assert finding.status is Status.FAIL
    assert finding.measured.value == 990
    assert any("gold = 990" in evidence.text for evidence in finding.evidence)


def test_a_total_not_seen_after_the_last_fault_is_inconclusive(tmp_path: Path) -> None:
    finding = check(tmp_path, [(LOAD_START, 1000), (TIMELINE_START + S, 1000), (HEALED + S, None)])
    assert finding.status is Status.INCONCLUSIVE


def test_a_total_never_seen_is_inconclusive(tmp_path: Path) -> None:
    finding = check(tmp_path, [])
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


def test_a_total_not_seen_before_the_first_fault_is_inconclusive(tmp_path: Path) -> None:
    finding = check(tmp_path, [(TIMELINE_START + S, 990), (HEALED + S, 990)])
    assert finding.status is Status.INCONCLUSIVE and "before the first fault" in finding.why


def test_each_service_has_to_be_seen_before_and_after(tmp_path: Path) -> None:
    def said(at: int, service: str) -> tuple[int, str, dict[str, object]]:
        return at, "observed", {"what": "totals", "service": service, "values": {"gold": 5}, "ok": True}

    events = [said(LOAD_START, "world"), said(LOAD_START, "bank"), said(HEALED + S, "world")]
    for folder, last, status in (("a", "world", Status.INCONCLUSIVE), ("b", "bank", Status.PASS)):
        truth = Truth(events=[*events, said(HEALED + 2 * S, last)], faults=[TrueFault(ready=HEALED)])
        (finding,) = CHECKER.check(make(tmp_path / folder, truth), ConservedParams.model_validate(["gold"])).findings
        assert finding.status is status, finding.why


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_what_is_no_finite_number_was_not_seen(tmp_path: Path, odd: float) -> None:
    finding = check(tmp_path, [(LOAD_START, odd), (LOAD_START + S, 1000), (HEALED + S, 1000), (HEALED + 2 * S, odd)])
    assert finding.status is Status.PASS and finding.measured.value == 1000


def test_a_fault_that_still_lasts_leaves_it_open(tmp_path: Path) -> None:
    fault = TrueFault("f1-cut", "partition", "a-b", "link", heal=HEALED)
    recording = make(tmp_path, Truth(totals=[(LOAD_START, 1000), (HEALED + S, 1000)], faults=[fault]))
    lines = (tmp_path / "events.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_text("".join(line for line in lines if "fault_healed" not in line))
    params = ConservedParams.model_validate(["gold"])
    assert CHECKER.check(recording, params).findings[0].status is Status.PASS
    assert CHECKER.check(type(recording).open(tmp_path), params).findings[0].status is Status.INCONCLUSIVE
