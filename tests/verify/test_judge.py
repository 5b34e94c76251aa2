from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import RecordingError
from chaosctl.recording.model import Outcome
from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Status, Verdict
from chaosctl.verify.judge import CRASHES, judge
from chaosctl.verify.latency import LatencyChecker
from chaosctl.verify.registry import checkers, objective_kinds
from chaosctl.verify.verdict_json import verdict_from_dict, verdict_to_dict, verdict_to_json
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, adds_and_read, make

OBJECTIVES: dict[str, Any] = {
    "recovery": {"serviceable": "3s", "steady": "5s"},
    "latency": {"p99": "50ms"},
    "errors": "0.1%",
    "throughput": {"at_least": "50/s"},
    "lost_acks": 0,
    "conserved": ["gold"],
    "replay": {"runs": 2},
}
TICKS = [{"tick": n, "digest": f"d{n}"} for n in range(1, 30)]


def truth(**changed: Any) -> Truth:
    """A run of which every objective holds, and what is changed about it."""
    whole: dict[str, Any] = {
        "objectives": OBJECTIVES,
        "faults": [TrueFault(ready=TIMELINE_START + S)],
        "outages": [(TIMELINE_START, TIMELINE_START + S)],
        "history": adds_and_read,
        "totals": [(LOAD_START, 10), (TIMELINE_START + 3 * S, 10)],
        "digests": {"live": TICKS, "replay-1": TICKS, "replay-2": TICKS},
        "replay_codes": {"replay-1": 0, "replay-2": 0},
        "rate_per_s": 200,
    }
    return Truth(**{**whole, **changed})


def verdict(folder: Path, **changed: Any) -> Verdict:
    return judge(make(folder, truth(**changed)))


def by_name(one: Verdict) -> dict[str, Status]:
    return {finding.name: finding.status for finding in one.objectives}


def test_a_run_in_which_everything_holds_passes(tmp_path: Path) -> None:
    one = verdict(tmp_path)
    assert set(by_name(one).values()) == {Status.PASS}, by_name(one)
    assert (one.status, one.exit_code, one.ended) == (Status.PASS, 0, "completed")
    assert [finding.checker for finding in one.objectives if finding.name == "latency.p99"] == ["latency"]
    assert one.faults[0]["proved"] is True
    assert one.faults[0]["applied_ns"] == TIMELINE_START
    assert len(one.recovery) == 1 and len(one.replays) == 2
    assert one.relay == {"kind": "embedded"}
    assert one.environment["cores"] == 2 and one.environment["command"] == "chaosctl run truth.yaml"
    assert one.generator["saturated"] is False
    assert (one.experiment, one.run_id, one.seed) == ("truth", "r-1", 7)


def test_judging_twice_gives_the_same_bytes_and_they_read_back(tmp_path: Path) -> None:
    make(tmp_path, truth())
    first, second = (judge(Recording.open(tmp_path)) for _ in range(2))
    assert verdict_to_json(first) == verdict_to_json(second)
    data = json.loads(verdict_to_json(first))
    assert data == verdict_to_dict(first)
    assert data["objectives"][0].keys() >= {"name", "checker", "status", "expected", "measured", "uncertainty", "why"}
    assert data["objectives"][0]["measured"].keys() == {"value", "unit", "censored"}
    assert verdict_to_dict(verdict_from_dict(data)) == data
    assert verdict_from_dict({**data, "later": 1}).objectives == first.objectives
    with pytest.raises(RecordingError, match="damaged"):
        verdict_from_dict({"status": "pass"})


def test_the_order_and_number_of_worker_files_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path / "a", truth(workers=3))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    samples = tmp_path / "b" / "samples"
    for old, new in (("0", "9"), ("2", "0"), ("9", "2")):
        (samples / f"swarm-{old}.arrow").rename(samples / f"swarm-{new}.arrow")
    one, other = (judge(Recording.open(tmp_path / name)) for name in "ab")
    assert one.objectives == other.objectives
    single = verdict(tmp_path / "c", workers=1)
    assert [finding.measured for finding in single.objectives] == [finding.measured for finding in one.objectives]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"outages": [(TIMELINE_START, TIMELINE_START + 4 * S)]}, "recovery.serviceable"),
        ({"latency": lambda at: 80 * MS}, "latency.p99"),
        ({"outcome": lambda at: Outcome.FAIL if at % (100 * MS) == 0 else Outcome.OK}, "errors"),
        ({"rate_per_s": 40}, "throughput"),
        ({"history": lambda writer: adds_and_read(writer, lost=[4])}, "lost_acks"),
        ({"totals": [(LOAD_START, 10), (TIMELINE_START + 3 * S, 11)]}, "conserved.gold"),
        ({"digests": {"live": TICKS, "replay-1": TICKS, "replay-2": [{"tick": 1, "digest": "x"}]}}, "replay"),
    ],
)
def test_one_failing_objective_fails_the_run(tmp_path: Path, changed: dict[str, Any], name: str) -> None:
    one = verdict(tmp_path, **changed)
    assert by_name(one)[name] is Status.FAIL
    assert (one.status, one.exit_code) == (Status.FAIL, 1)


@pytest.mark.parametrize(
    ("changed", "exit_code", "why"),
    [
        ({"events": [(LOAD_START, "crashed", {"part": "swarm", "why": "signal 9"})]}, 6, "swarm crashed"),
        ({"faults": [TrueFault(proved=False)]}, 6, "not proved"),
        ({"faults": [TrueFault(failed="no process")], "outages": []}, 6, "no process"),
        ({"lag_ms": 400.0}, 6, "bottleneck"),
        ({"ended": None}, 6, "never recorded its end"),
        ({"ended": "interrupted", "events": [(S, "interrupted", {"signal": "SIGINT"})]}, 130, "interrupted"),
        ({"ended": "interrupted", "events": [(S, "interrupted", {"signal": "SIGTERM"})]}, 143, "interrupted"),
        ({"ended": "stopped", "events": [(S, "stopped", {"condition": "errors > 50%"})]}, 5, "stopped"),
        ({"ended": "failed"}, 4, "failed"),
        ({"ended": "crashed"}, 6, "crashed"),
        ({"ended": "error"}, 7, "error"),
    ],
)
def test_a_doubt_turns_a_pass_into_inconclusive(
    tmp_path: Path, changed: dict[str, Any], exit_code: int, why: str
) -> None:
    one = verdict(tmp_path, **changed)
    assert (one.status, one.exit_code) == (Status.INCONCLUSIVE, exit_code)
    assert any(why in finding.why for finding in one.objectives)


def test_a_saturated_generator_takes_back_a_fail_of_latency_but_not_of_lost_acks(tmp_path: Path) -> None:
    lossy = {"history": lambda writer: adds_and_read(writer, lost=[4]), "latency": lambda at: 80 * MS}
    statuses = by_name(verdict(tmp_path, lag_ms=400.0, **lossy))
    assert statuses["latency.p99"] is Status.INCONCLUSIVE
    assert statuses["lost_acks"] is Status.FAIL


def test_an_unproved_fault_does_not_touch_the_baseline(tmp_path: Path) -> None:
    objectives = {"latency": {"p99": "50ms", "during": "baseline", "operation": "move"}}
    one = verdict(tmp_path, objectives=objectives, faults=[TrueFault(proved=False)], rate_per_s=1000)
    assert one.status is Status.PASS


def test_no_objectives_prove_nothing(tmp_path: Path) -> None:
    one = verdict(tmp_path, objectives={})
    assert (one.status, one.exit_code) == (Status.INCONCLUSIVE, 6)


def test_a_checker_that_raises_is_inconclusive_and_its_trace_is_for_who_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("planted\nin two lines")

    monkeypatch.setattr(LatencyChecker, "check", crash)
    traces: dict[str, str] = {}
    one = judge(make(tmp_path, truth()), traces.__setitem__)
    (finding,) = (finding for finding in one.objectives if finding.checker == "latency")
    assert finding.status is Status.INCONCLUSIVE
    assert finding.why == "the checker crashed: ZeroDivisionError: planted"
    assert (finding.evidence[0].file, finding.evidence[0].where) == (CRASHES, "latency")
    assert "test_judge.py" in finding.evidence[0].text
    assert list(traces) == ["latency"] and "Traceback" in traces["latency"] and "in two lines" in traces["latency"]
    assert "Traceback" not in verdict_to_json(one)
    assert one.exit_code == 6
    assert {other.status for other in one.objectives if other is not finding} == {Status.PASS}


def test_what_could_not_be_cleaned_up_is_said_beside_the_verdict(tmp_path: Path) -> None:
    one = verdict(tmp_path, events=[(S, "cleanup_failed", {"what": "proxy x is left"})])
    assert (one.status, one.exit_code) == (Status.PASS, 8)
    assert "not cleaned up: proxy x is left" in one.notes


def test_what_could_not_be_cleaned_up_outweighs_a_doubt_and_no_fail(tmp_path: Path) -> None:
    left = [(S, "cleanup_failed", {"what": "proxy x is left"})]
    doubtful = verdict(tmp_path / "doubtful", objectives={}, events=left)
    assert (doubtful.status, doubtful.exit_code) == (Status.INCONCLUSIVE, 8)
    slow = verdict(tmp_path / "slow", events=left, latency=lambda at: 80 * MS)
    assert (slow.status, slow.exit_code) == (Status.FAIL, 1)
    crashed = verdict(tmp_path / "crashed", events=left, ended="crashed")
    assert (crashed.status, crashed.exit_code) == (Status.INCONCLUSIVE, 6)


def test_notes_say_what_a_reader_must_know(tmp_path: Path) -> None:
    events = [
        (S, "note", {"text": "the fan is loud"}),
        (S, "bot_error", {"bot": "near-1", "error": "KeyError: 'x'", "count": 3}),
        (S, "service_exited", {"service": "world", "replica": 0, "signal": "SIGSEGV", "expected": False}),
    ]
    notes = verdict(tmp_path, open_loop=False, events=events).notes
    for said in ("the fan is loud", "KeyError: 'x' (3 times)", "world[0] ended by itself (SIGSEGV)", "closed-loop"):
        assert any(said in note for note in notes), said


CUTTABLE = (
    "events.jsonl",
    "history.jsonl",
    "samples/swarm-0.arrow",
    "samples/probe-relay.arrow",
    "digests/live.jsonl",
    "digests/replay-1.jsonl",
)


@pytest.mark.parametrize("name", CUTTABLE)
@pytest.mark.parametrize(
    "failing",
    [
        {"outages": [(TIMELINE_START, TIMELINE_START + 4 * S)]},
        {"history": lambda writer: adds_and_read(writer, lost=[4])},
        {"digests": {"live": TICKS, "replay-1": TICKS, "replay-2": [*TICKS[:-1], {"tick": 29, "digest": "x"}]}},
        {"faults": [TrueFault(proved=False)]},
    ],
    ids=["recovery", "lost_acks", "replay", "unproved"],
)
def test_cutting_a_file_short_never_makes_a_pass(tmp_path: Path, name: str, failing: dict[str, Any]) -> None:
    make(tmp_path, truth(rate_per_s=60, **failing))
    whole = (tmp_path / name).read_bytes()
    for tenth in range(10):
        for more in (0, 1, 9):
            (tmp_path / name).write_bytes(whole[: len(whole) * tenth // 10 + more])
            assert judge(Recording.open(tmp_path)).status is not Status.PASS
    line_ends = [i + 1 for i, byte in enumerate(whole[:-1]) if byte == 10] if name.endswith("jsonl") else []
    for cut in line_ends[-6:]:
        (tmp_path / name).write_bytes(whole[:cut])
        assert judge(Recording.open(tmp_path)).status is not Status.PASS


def test_every_checker_is_found_and_describes_itself() -> None:
    assert set(OBJECTIVES) <= set(checkers())
    for name, kind in objective_kinds().items():
        assert kind.name == name
        assert kind.summary.endswith(".") and kind.example.startswith(f"{name}:")


def test_what_comes_after_a_part_of_ours_died_is_not_held_against_the_target(tmp_path: Path) -> None:
    """Nobody is served any more once the relay is dead: without this, that would be a recovery that never came."""
    died = TIMELINE_START + 4 * S
    truth = Truth(
        objectives={"recovery": {"serviceable": "3s"}},
        faults=(TrueFault(inject=TIMELINE_START, ready=TIMELINE_START + S),),
        outages=((TIMELINE_START, TIMELINE_START + S), (died, LOAD_START + 30 * S)),
        events=((died, "crashed", {"part": "relay", "why": "killed"}),),
        ended="crashed",
    )
    verdict = judge(make(tmp_path / "run", truth))
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.exit_code == 6


def test_a_run_that_failed_is_noted_in_a_line(tmp_path: Path) -> None:
    """The last lines of the service's log are shown when they are new, and stand in the bundle."""
    error = "world[0] ended with code 1\nthe last lines of world-0.log:\n  boom"
    truth = Truth(events=((S, "run_ended", {"reason": "failed", "error": error}),), ended=None)
    verdict = judge(make(tmp_path / "run", truth))
    assert "the run did not play its plan to the end: failed (world[0] ended with code 1)" in verdict.notes
