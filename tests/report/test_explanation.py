"""What `chaosctl explain` says, on recordings with known truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chaosctl.errors import UsageError
from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
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


def a_bit_of_everything(writer: HistoryWriter) -> None:
    """Write a history that has something for every objective which judges histories."""
    adds_and_read(writer, elements=30, lost=[4])
    said = [
        ("write", "r", "1", "1"),
        ("get", "r", None, "2"),
        ("send", "s", "1", "1"),
        ("enqueue", "q", "1", "1"),
        ("dequeue", "q", None, "1"),
        ("remove", "p1", "9", "9"),
        ("contains", "p1", "17", "17=yes"),
    ]
    for number, (f, key, asked, answered) in enumerate(said):
        at = LOAD_START + number * 100 * MS
        writer.write(at, Mark.INVOKE, 9_000 + number, "near-1", f, key, asked)
        writer.write(at + MS, Mark.OK, 9_000 + number, "near-1", f, key, answered)
    for number, (f, key, value) in enumerate(
        [
            ("session", "near-1", "open"),
            ("session", "near-1", "cut"),
            ("session", "near-1", "resumed"),
            ("event", "m1", "started"),
            ("event", "m1", "settled"),
            ("version", "world", "good"),
            ("receive", "s", "1"),
        ]
    ):
        writer.write(TIMELINE_START + (number - 1) * S // 2, Mark.OK, 9_100 + number, "near-1", f, key, value)


def example_of(name: str) -> Any:
    """Return the objective as its kind's own example has it."""
    return YAML(typ="safe").load(checkers()[name].kind.example)[name]


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of an explanation by their titles."""
    parts = text.split("\n\n")[1:]
    return {title: lines for title, *lines in (part.splitlines() for part in parts)}


@pytest.mark.parametrize("name", checkers())
def test_every_objective_that_there_is_is_explained(tmp_path: Path, name: str) -> None:
    """Nothing is written for one objective here: a new one has to be explained by what it says of itself."""
    sampled = {"service": "world", "replica": 0, "pid": 1, "values": {"memory_bytes": 1e6}, "ok": True}
    text = told(
        tmp_path,
        name,
        objectives={name: example_of(name)},
        history=a_bit_of_everything,
        events=[*WHOLE["events"], *((LOAD_START + n * S, "metrics", sampled) for n in range(20))],
    )
    said = sections(text)
    assert "crashed" not in text and "could not be read" not in text
    empty = [title for title, lines in said.items() if [line.strip() for line in lines] in ([], ["nothing"])]
    assert empty == [] and len(said) == 7, text
    kind = checkers()[name].kind
    assert kind.summary in " ".join(line.strip() for line in said["What it means"])
    counted = "\n".join(said["What was counted"])
    if "history" in kind.needs:
        assert "add: 30 invoke, 30 ok  [history.jsonl]" in counted and "session: 3 ok" in counted
    for line in said["What was recorded, in order"]:
        assert re.search(r"\[(events.jsonl(:\d+)?|history.jsonl id -?\d+|samples/\S+ intended_ns \d+)\]$", line), line


def test_parameters_within_parameters_are_told_in_words(tmp_path: Path) -> None:
    text = told(tmp_path, "metrics", objectives={"metrics": {"gateway": {"clients": {"spread": "40%"}}}})
    assert "by_service = gateway: clients: spread 40 %, during all, settle 3 s" in text


def test_the_history_lines_that_the_evidence_names_are_shown_in_order(tmp_path: Path) -> None:
    text = told(tmp_path, "lost_acks", history=lambda writer: adds_and_read(writer, elements=30, lost=[4]))
    (id,) = {
        line.split(" id ")[1].split(":")[0]
        for line in text.splitlines()
        if "history.jsonl id" in line and "]" not in line
    }
    for at, mark in ((1.040, "invoke"), (1.041, "ok")):
        assert f"{at:>10.3f} s  near-1 add p1 4: {mark}  [history.jsonl id {id}]" in text


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


def test_which_factors_reached_a_replay_is_among_the_facts(tmp_path: Path) -> None:
    canaries = (("clock", True, "sees 2001"), ("cpu", False, "there is only one CPU"))
    fields = [{"factor": factor, "reached": reached, "text": text} for factor, reached, text in canaries]
    text = told(tmp_path, "replay", events=[(LOAD_START + 25 * S, "replay_canary", one) for one in fields])
    assert "the factor clock reaches a replay: sees 2001" in text
    assert "the factor cpu is not tested: there is only one CPU" in text


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
    assert "world: threads: at_most 5, during all" in text
    assert "world[0]: asked 3 times, 3 answered  [events.jsonl]" in text
    assert "world[1]: asked 2 times, 1 answered  [events.jsonl]" in text
