from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Status
from chaosctl.verify.recovery import CHECKER, RecoveryParams
from tests.fixtures.generator import EVERY, LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

PARAMS = {"serviceable": "3s", "steady": "5s", "detect": "1s"}
PARTITION = TrueFault("f1-partition", "partition", "a-b", "link", heal=TIMELINE_START + 4 * S)


def check(folder: Path, truth: Truth, **params: object):  # type: ignore[no-untyped-def]
    return CHECKER.check(make(folder, truth), RecoveryParams.model_validate({**PARAMS, **params}))


def test_a_short_outage_passes_and_every_figure_is_right(tmp_path: Path) -> None:
    fault = TrueFault(ready=TIMELINE_START + 900 * MS)
    outage = (TIMELINE_START + 20 * MS, TIMELINE_START + 1020 * MS)
    checked = check(tmp_path, Truth(faults=[fault], outages=[outage]))
    assert [finding.status for finding in checked.findings] == [Status.PASS] * 3
    (row,) = checked.tables["recovery"]
    assert row["last_good_ns"] == TIMELINE_START
    assert row["first_error_ns"] == TIMELINE_START + 50 * MS
    assert row["first_good_ns"] == row["serviceable_ns"] == row["steady_ns"] == TIMELINE_START + 1050 * MS
    assert row["healed_ns"] == TIMELINE_START + 900 * MS
    assert row["censored_ns"] == LOAD_START + 30 * S
    assert row["uncertainty_ns"] == EVERY
    assert row["outages"] == {"refused": 20}
    assert row["relapses"] == 0
    serviceable, steady, detect = checked.findings
    assert (serviceable.measured.value, serviceable.uncertainty) == (1050 * MS, EVERY)
    assert steady.measured.value == 1050 * MS
    assert detect.measured.value == 50 * MS


def test_a_long_outage_fails_and_names_the_fault(tmp_path: Path) -> None:
    checked = check(tmp_path, Truth(outages=[(TIMELINE_START, TIMELINE_START + 4 * S)]))
    assert checked.findings[0].status is Status.FAIL
    assert "f1-kill" in checked.findings[0].why
    assert checked.findings[1].status is Status.PASS  # 4 s is within the 5 s for steady


def test_no_error_at_all_is_zero_not_disturbed(tmp_path: Path) -> None:
    serviceable, steady, detect = check(tmp_path, Truth()).findings
    assert serviceable.measured.value == steady.measured.value == detect.measured.value == 0
    assert serviceable.status is Status.PASS
    assert "no probe noticed" in serviceable.why


def test_what_never_recovers_is_censored_and_fails(tmp_path: Path) -> None:
    serviceable, steady, _ = check(tmp_path, Truth(outages=[(TIMELINE_START + 1, LOAD_START + 99 * S)])).findings
    assert serviceable.status is Status.FAIL
    assert serviceable.measured.censored
    assert serviceable.measured.value == 25 * S
    assert steady.status is Status.FAIL and steady.measured.censored


def test_an_outage_cut_off_by_the_end_before_the_limit_is_inconclusive(tmp_path: Path) -> None:
    fault = TrueFault(inject=LOAD_START + 28 * S)
    truth = Truth(faults=[fault], outages=[(fault.inject, LOAD_START + 99 * S)])
    serviceable = check(tmp_path, truth).findings[0]
    assert serviceable.status is Status.INCONCLUSIVE
    assert serviceable.measured.censored and serviceable.measured.value == 2 * S


def test_the_next_fault_ends_the_window(tmp_path: Path) -> None:
    second = TrueFault("f2-kill", inject=TIMELINE_START + 2 * S)
    truth = Truth(faults=[TrueFault(), second], outages=[(TIMELINE_START, TIMELINE_START + 2500 * MS)])
    checked = check(tmp_path, truth)
    first_row, second_row = checked.tables["recovery"]
    assert first_row["censored_ns"] == second.inject
    assert first_row["serviceable_ns"] is None
    assert second_row["serviceable_ns"] == TIMELINE_START + 2500 * MS
    assert checked.findings[0].status is Status.INCONCLUSIVE  # > 2 s, and the limit is 3 s


def test_a_lasting_fault_counts_from_its_heal(tmp_path: Path) -> None:
    assert PARTITION.heal is not None
    truth = Truth(faults=[PARTITION], outages=[(TIMELINE_START, PARTITION.heal + 500 * MS)])
    serviceable, steady, _ = check(tmp_path, truth).findings
    assert serviceable.status is Status.PASS
    assert serviceable.measured.value == 500 * MS
    assert "heal" in serviceable.why
    assert steady.measured.value == 500 * MS


def test_a_lasting_fault_survived_before_its_heal_is_zero_from_the_heal(tmp_path: Path) -> None:
    truth = Truth(faults=[PARTITION], outages=[(TIMELINE_START, TIMELINE_START + S)])
    checked = check(tmp_path, truth)
    assert checked.findings[0].measured.value == 0
    assert checked.tables["recovery"][0]["serviceable_ns"] == TIMELINE_START + S


def test_a_lasting_fault_that_flaps_until_after_its_heal_counts_from_the_heal(tmp_path: Path) -> None:
    assert PARTITION.heal is not None
    flaps = [(TIMELINE_START, TIMELINE_START + S), (TIMELINE_START + 3 * S, PARTITION.heal + 700 * MS)]
    checked = check(tmp_path, Truth(faults=[PARTITION], outages=flaps))
    assert checked.findings[0].measured.value == 700 * MS


def test_overlapping_lasting_faults_count_from_the_last_heal(tmp_path: Path) -> None:
    longer = TrueFault("f2-cut", "partition", "c-d", "link", TIMELINE_START + S, heal=TIMELINE_START + 8 * S)
    truth = Truth(faults=[PARTITION, longer], outages=[(TIMELINE_START, TIMELINE_START + 9 * S)])
    checked = check(tmp_path, truth)
    assert checked.findings[0].status is Status.PASS
    assert checked.findings[0].measured.value == S


def test_a_lasting_fault_that_was_never_healed_is_inconclusive(tmp_path: Path) -> None:
    recording = make(tmp_path, Truth(faults=[PARTITION]))
    lines = (tmp_path / "events.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_text("".join(line for line in lines if "fault_healed" not in line))
    checked = CHECKER.check(type(recording).open(tmp_path), RecoveryParams.model_validate(PARAMS))
    assert checked.findings[0].status is Status.INCONCLUSIVE
    assert "never healed" in checked.findings[0].why


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (TrueFault(proved=False), "not proved"),
        (TrueFault(failed="no such process"), "no such process"),
    ],
)
def test_an_unproved_or_failed_fault_is_inconclusive(tmp_path: Path, fault: TrueFault, why: str) -> None:
    finding = check(tmp_path, Truth(faults=[fault])).findings[0]
    assert finding.status is Status.INCONCLUSIVE
    assert why in finding.why


def test_without_faults_or_probes_it_is_inconclusive(tmp_path: Path) -> None:
    assert check(tmp_path / "a", Truth(faults=[])).findings[0].status is Status.INCONCLUSIVE
    finding = check(tmp_path / "b", Truth(unprobed=[(0, 99 * S)])).findings[0]
    assert finding.status is Status.INCONCLUSIVE
    assert "no probe" in finding.why


def test_missing_probes_count_as_not_good_but_never_decide_a_fail(tmp_path: Path) -> None:
    gap = (TIMELINE_START + S, TIMELINE_START + 6 * S)
    checked = check(tmp_path, Truth(outages=[(TIMELINE_START, TIMELINE_START + S)], unprobed=[gap]))
    assert checked.findings[0].status is Status.INCONCLUSIVE
    assert checked.tables["recovery"][0]["serviceable_ns"] == gap[1]
    assert checked.tables["recovery"][0]["outages"]["missing"] == 100


def test_relapses_are_counted(tmp_path: Path) -> None:
    bursts = [(TIMELINE_START + k * 3 * S, TIMELINE_START + k * 3 * S + 200 * MS) for k in range(4)]
    assert check(tmp_path, Truth(outages=bursts)).tables["recovery"][0]["relapses"] == 3


def test_what_fails_while_a_lasting_fault_is_in_force_is_no_relapse(tmp_path: Path) -> None:
    fault = TrueFault("f1-cut", "partition", "a-b", "link", heal=TIMELINE_START + 6 * S)
    on_and_off = [(TIMELINE_START + at * S, TIMELINE_START + at * S + 500 * MS) for at in (0, 3)]
    assert relapses(tmp_path / "a", Truth(faults=[fault], outages=on_and_off), 0).status is Status.PASS
    again = [*on_and_off, (TIMELINE_START + 9 * S, TIMELINE_START + 10 * S)]
    found = relapses(tmp_path / "b", Truth(faults=[fault], outages=again), 0)
    assert (found.status, found.measured.value) == (Status.FAIL, 1)


def relapses(folder: Path, truth: Truth, limit: int):  # type: ignore[no-untyped-def]
    (found,) = [one for one in check(folder, truth, relapses=limit).findings if one.name == "recovery.relapses"]
    return found


def test_what_falls_over_again_fails_with_the_count(tmp_path: Path) -> None:
    bursts = [(TIMELINE_START + k * 3 * S, TIMELINE_START + k * 3 * S + 200 * MS) for k in range(4)]
    found = relapses(tmp_path, Truth(outages=bursts), 2)
    assert (found.status, found.measured.value, found.expected.value) == (Status.FAIL, 3, 2)
    assert "f1-kill: fell over again 3 times" in found.why
    assert [one.text.partition("s failed")[0] for one in found.evidence] == [
        f"f1-kill: the probe at {(TIMELINE_START + k * 3 * S) / S:.3f}" for k in (1, 2, 3)
    ]
    assert relapses(tmp_path / "more", Truth(outages=bursts), 3).status is Status.PASS


def test_what_nobody_saw_after_it_was_serviceable_is_no_proof_that_it_stayed_so(tmp_path: Path) -> None:
    unprobed = (TIMELINE_START + 10 * S, TIMELINE_START + 12 * S)
    truth = Truth(outages=[(TIMELINE_START, TIMELINE_START + S)], unprobed=[unprobed])
    assert relapses(tmp_path, truth, 0).status is Status.INCONCLUSIVE
    never = Truth(outages=[(TIMELINE_START, LOAD_START + 99 * S)])
    assert relapses(tmp_path / "never", never, 0).status is Status.INCONCLUSIVE
    assert relapses(tmp_path / "none", Truth(faults=[]), 0).status is Status.INCONCLUSIVE


def test_nineteen_good_probes_are_not_yet_serviceable(tmp_path: Path) -> None:
    start = TIMELINE_START
    outages = [(start, start + S), (start + S + 19 * EVERY, start + S + 20 * EVERY)]
    assert check(tmp_path, Truth(outages=outages)).findings[0].measured.value == S + 20 * EVERY


def test_steady_waits_for_the_declared_objectives_of_the_swarm(tmp_path: Path) -> None:
    def slow_until_recovered(at: int) -> int:
        return 800 * MS if TIMELINE_START <= at < TIMELINE_START + 4 * S else 5 * MS

    truth = Truth(outages=[(TIMELINE_START, TIMELINE_START + S)], latency=slow_until_recovered)
    serviceable, steady, _ = check(tmp_path, truth, p99="100ms", errors="1%").findings
    assert serviceable.measured.value == S
    assert steady.measured.value == pytest.approx(4 * S, abs=2 * EVERY)
    assert steady.status is Status.PASS
    assert "steady (99% of operations within 100ms and at most 1% of operations wrong for 2s) " in steady.why


def test_where_nothing_is_declared_steady_says_that_it_goes_by_the_probes(tmp_path: Path) -> None:
    (_, steady, _) = check(tmp_path, Truth(outages=[(TIMELINE_START, TIMELINE_START + S)]), hold="3s").findings
    assert "steady (every probe good for 3s) 1s after the inject" in steady.why


def test_sessions_are_followed_over_the_fault(tmp_path: Path) -> None:
    def sessions(writer: HistoryWriter) -> None:
        def say(at: int, name: str, value: str) -> None:
            writer.write(at, Mark.OK, say.next, "b", "session", name, value)  # type: ignore[attr-defined]
            say.next += 1  # type: ignore[attr-defined]

        say.next = 1  # type: ignore[attr-defined]
        for name in ("kept", "back", "gone", "told", "left", "early"):
            say(LOAD_START, name, "open")
        say(LOAD_START + S, "early", "closed")
        for name in ("back", "gone"):
            say(TIMELINE_START + MS, name, "cut")
        say(TIMELINE_START + 2 * MS, "told", "lost")
        say(TIMELINE_START + S, "back", "resumed")
        say(TIMELINE_START + S, "left", "closed")

    (row,) = check(tmp_path, Truth(history=sessions)).tables["recovery"]
    assert (row["sessions_kept"], row["sessions_resumed"], row["sessions_lost"]) == (2, 1, 2)


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, 60_000), length_ms=st.integers(10, 60_000), kind=st.sampled_from(["kill", "partition"]))
def test_serviceable_is_within_one_probe_interval_of_the_truth(start: int, length_ms: int, kind: str) -> None:
    """`start` is the offset of the outage from the inject, in µs: within one probe interval and a bit."""
    begin = TIMELINE_START + start * 1000
    end = begin + length_ms * MS
    heal = begin + length_ms * MS // 2
    fault = TrueFault() if kind == "kill" else TrueFault("f1-p", "partition", "a-b", "link", heal=heal)
    truth = Truth(faults=[fault], outages=[(begin, end)], end=LOAD_START + 75 * S, rate_per_s=1)
    with tempfile.TemporaryDirectory() as folder:
        finding = check(Path(folder), truth, serviceable="2m").findings[0]
    true_ns = end - (TIMELINE_START if kind == "kill" else heal)
    assert finding.status is Status.PASS
    assert finding.measured.value is not None
    missed_whole = finding.measured.value == 0  # an outage between two probes, or over before the first one after heal
    assert abs(finding.measured.value - true_ns) <= EVERY or (missed_whole and length_ms * MS <= 2 * EVERY)
