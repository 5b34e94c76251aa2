"""What `chaosctl explain` says, on recordings with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import UsageError
from chaosctl.recording.reader import Recording
from chaosctl.report.explanation import explain, overview
from chaosctl.verify.judge import judge
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, adds_and_read, make

OBJECTIVES: dict[str, Any] = {
    "recovery": {"serviceable": "3s", "steady": "5s"},
    "latency": {"p90": "50ms"},
    "errors": "2%",
    "throughput": {"at_least": "15/s"},
    "lost_acks": 0,
    "conserved": ["gold"],
    "replay": {"runs": 2},
    "same_digest": "kill",
}
TICKS = [{"tick": n, "digest": f"d{n}"} for n in range(1, 30)]
ASKED = {"what": "digest", "service": "world", "ok": True, "digest": "d29"}
WHOLE: dict[str, Any] = {
    "objectives": OBJECTIVES,
    "faults": [TrueFault(ready=TIMELINE_START + S)],
    "outages": [(TIMELINE_START, TIMELINE_START + S)],
    "end": LOAD_START + 20 * S,
    "every": 100 * MS,
    "rate_per_s": 20,
    "history": lambda writer: adds_and_read(writer, elements=30),
    "totals": [(LOAD_START, 10), (LOAD_START + S, 10), (TIMELINE_START + 3 * S, 10)],
    "digests": {"live": TICKS, "replay-1": TICKS, "replay-2": TICKS},
    "replay_codes": {"replay-1": 0, "replay-2": 0},
    "events": [(TIMELINE_START + 9 * S, "observed", {**ASKED, "moment": when}) for when in ("before", "after")],
}


def told(folder: Path, objective: str, **changed: Any) -> str:
    recording = make(folder, Truth(**{**WHOLE, **changed}))
    return "\n".join(explain(recording, judge(recording), objective))


def line_of(folder: Path, said: str) -> int:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if said in line)


def test_without_an_objective_there_is_a_line_for_each(tmp_path: Path) -> None:
    verdict = judge(make(tmp_path, Truth(**WHOLE)))
    first, *lines = overview(verdict)
    assert first.startswith("✔ pass  truth r-1: All")
    assert len(lines) == len(verdict.objectives)
    for line, finding in zip(lines, verdict.objectives, strict=True):
        assert finding.name in line and "expected" in line


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_explained_by_its_definition_parameters_facts_and_numbers(tmp_path: Path, name: str) -> None:
    text = told(tmp_path, name)
    assert checkers()[name].kind.summary in text.replace("\n  ", " ")
    applied = f"[events.jsonl:{line_of(tmp_path, 'fault_applied')}]"
    assert f"f1-kill applied to world[0]: called at 6.000 s, returned at 6.001 s  {applied}" in text
    assert f"world[0] ended (SIGKILL), as asked  [events.jsonl:{line_of(tmp_path, 'service_exited')}]" in text
    assert "none: the run was played to its end" in text
    assert f"✔ pass  {name}" in text
    times = [float(line.split()[0]) for line in text.splitlines() if line.endswith("]") and " s  " in line]
    assert len(times) > 5 and times == sorted(times)


def test_recovery_shows_what_the_probe_saw_and_where(tmp_path: Path) -> None:
    text = told(tmp_path, "recovery")
    for at, words in (
        (6.0, "the probe's first answer that is not good"),
        (7.0, "the probe's first good answer after it"),
        (7.0, "the first of 20 good answers in a row: serviceable"),
    ):
        where = f"samples/probe-relay.arrow intended_ns {int(at * S)}"
        assert f"{at:>10.3f} s  f1-kill: {words}  [{where}]" in text
    assert "serviceable = 3 s  (Players are served again within this time)" in text
    assert "200 probes under load: 190 ok, 10 failed, 0 without a known outcome" in text
    assert "recovery.serviceable: 1 s ± 100 ms, expected ≤ 3 s" in text
    only_steady = told(tmp_path / "again", "recovery.steady")
    assert "recovery.steady" in only_steady and "recovery.serviceable" not in only_steady


def test_a_recovery_that_never_came_says_until_when_it_was_watched(tmp_path: Path) -> None:
    text = told(tmp_path, "recovery", outages=[(TIMELINE_START, LOAD_START + 20 * S)])
    assert "    21.000 s  f1-kill: its window ends; not serviceable nor steady until here" in text
    assert "> 15 s" in text


def test_latency_says_which_stretches_it_looked_at_and_how_many_operations(tmp_path: Path) -> None:
    text = told(tmp_path, "latency")
    assert "'steady' means 3.000 s to 6.000 s, 10.000 s to 21.000 s" in text
    assert "280 of 400 operations are of it: 280 ok, 0 failed, 0 without a known outcome" in text
    assert "p90    = 50 ms" in text and "cohort" not in text.split("Parameters")[1].split("\n\n")[0]


def test_totals_are_shown_when_they_change_and_where(tmp_path: Path) -> None:
    text = told(tmp_path, "conserved", totals=[*WHOLE["totals"], (TIMELINE_START + 4 * S, 11)])
    assert text.count("world said: gold = 10") == 1, "an answer like the one before it is nothing new"
    line = line_of(tmp_path, '"gold": 11')
    assert f"10.000 s  world said: gold = 11  [events.jsonl:{line}]" in text
    assert f"events.jsonl:{line} at_ns {TIMELINE_START + 4 * S}: world said gold = 11" in text


def test_lost_acks_counts_the_history_and_names_the_lines(tmp_path: Path) -> None:
    text = told(tmp_path, "lost_acks", history=lambda writer: adds_and_read(writer, elements=30, lost=[4]))
    assert "add: 30 invoke, 30 ok  [history.jsonl]" in text
    assert "history.jsonl id " in text and "near-1 added 4 to p1" in text


@pytest.mark.parametrize(
    ("changed", "doubt"),
    [
        ({"ended": None}, "the run was interrupted: it never recorded its end"),
        ({"faults": [TrueFault(ready=TIMELINE_START + S, proved=False)]}, "f1-kill was not proved"),
        ({"lag_ms": 400.0}, "the load generator was itself the bottleneck"),
    ],
)
@pytest.mark.parametrize("name", ["latency", "recovery"])
def test_doubts_are_named_with_whose_pass_they_took(
    tmp_path: Path, changed: dict[str, Any], doubt: str, name: str
) -> None:
    doubts = told(tmp_path, name, **changed).split("\nDoubts\n")[1].split("\n\n")[0]
    assert doubt in doubts
    assert f"so {name}" in doubts and "is inconclusive, whatever its numbers say" in doubts


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_bundle_of_which_little_is_left_is_explained(tmp_path: Path, name: str) -> None:
    make(tmp_path, Truth(**WHOLE))
    for file in ("events.jsonl", "history.jsonl", "samples/swarm-0.arrow", "samples/probe-relay.arrow"):
        whole = (tmp_path / file).read_bytes()
        for cut in (len(whole) // 2, len(whole) // 9, 0):
            (tmp_path / file).write_bytes(whole[:cut])
            recording = Recording.open(tmp_path)
            assert "? inconclusive" in "\n".join(explain(recording, judge(recording), name))


def test_an_unknown_objective_is_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'latancy'; did you mean 'latency'\? \(it has .*recovery.steady.*\)"):
        told(tmp_path / "a", "latancy")
    with pytest.raises(UsageError, match="'xyzzy'; there is: conserved"):
        told(tmp_path / "b", "xyzzy")
    with pytest.raises(UsageError, match="it has none at all"):
        told(tmp_path / "c", "latency", objectives={})


def test_of_sampled_numbers_it_says_how_often_each_replica_answered(tmp_path: Path) -> None:
    said = [(LOAD_START + at * S, "metrics", {"service": "world", "replica": at % 2, "ok": at != 3}) for at in range(5)]
    text = told(tmp_path, "metrics", objectives={"metrics": {"world": {"threads": {"at_most": 5}}}}, events=said)
    assert "world[0]: asked 3 times, 3 answered  [events.jsonl]" in text
    assert "world[1]: asked 2 times, 1 answered  [events.jsonl]" in text
