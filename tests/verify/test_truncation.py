"""The law of the torn bundle: cutting or damaging a recording never raises, and makes neither a pass nor a fail."""

from __future__ import annotations

import functools
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaosctl.errors import RecordingError
from chaosctl.recording.model import Outcome
from chaosctl.recording.reader import Recording
from chaosctl.verify.contract import Status, Verdict
from chaosctl.verify.judge import judge
from chaosctl.verify.registry import checkers
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, adds_and_read, make
from tests.verify.test_known_truth import anything

TICKS = [{"tick": n, "digest": f"d{n}"} for n in range(1, 30)]
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
ASKED = [
    (TIMELINE_START + (10 + n) * S, "observed", {"what": "digest", "service": "world", "moment": moment, "ok": True})
    for n, moment in enumerate(("before", "after"))
]
WHOLE: dict[str, Any] = {
    "objectives": OBJECTIVES,
    "faults": [TrueFault(ready=TIMELINE_START + S)],
    "outages": [(TIMELINE_START, TIMELINE_START + S)],
    "end": LOAD_START + 20 * S,
    "every": 100 * MS,
    "rate_per_s": 20,
    "history": lambda writer: adds_and_read(writer, elements=30),
    "totals": [(LOAD_START, 10), (TIMELINE_START + 3 * S, 10)],
    "digests": {"live": TICKS, "replay-1": TICKS, "replay-2": TICKS},
    "replay_codes": {"replay-1": 0, "replay-2": 0},
    "inputs": {"world.jsonl": '{"tick": 1, "do": "move"}\n' * 5},
    "events": [(at, name, {**fields, "digest": "d29"}) for at, name, fields in ASKED],
}
# What is changed about a run in which everything holds, and what it comes to.
RUNS: dict[str, tuple[dict[str, Any], Status]] = {
    "passing": ({}, Status.PASS),
    "failing": (
        {
            "outages": [(TIMELINE_START, TIMELINE_START + 4 * S)],
            "latency": lambda at: 80 * MS,
            "outcome": lambda at: Outcome.FAIL if at % (500 * MS) == 0 else Outcome.OK,
            "history": lambda writer: adds_and_read(writer, elements=30, lost=[29], extra=[99]),
            "totals": [(LOAD_START, 10), (TIMELINE_START + 3 * S, 10), (TIMELINE_START + 5 * S, 11)],
            "digests": {"live": TICKS, "replay-1": TICKS, "replay-2": [*TICKS[:-1], {"tick": 29, "digest": "x"}]},
            "events": [(at, name, {**fields, "digest": fields["moment"]}) for at, name, fields in ASKED],
        },
        Status.FAIL,
    ),
    "unseen": (
        {
            "unprobed": [(TIMELINE_START, LOAD_START + 20 * S)],
            "history": lambda writer: adds_and_read(writer, elements=30, read=False),
            "totals": [(LOAD_START, 10)],
            "replay_codes": {"replay-1": 0, "replay-2": 1},
            "events": [],
        },
        Status.INCONCLUSIVE,
    ),
}
IDENTITY = ("run.json", "plan.json")
CUTTABLE = (
    "events.jsonl",
    "history.jsonl",
    "samples/swarm-0.arrow",
    "samples/probe-relay.arrow",
    "digests/live.jsonl",
    "digests/replay-2.jsonl",
    "inputs/world.jsonl",
)


@functools.cache
def _truth(name: str) -> Truth:
    return Truth(**{**WHOLE, **RUNS[name][0]})


def _failing(verdict: Verdict) -> set[str]:
    return {finding.name for finding in verdict.objectives if finding.status is Status.FAIL}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one whole bundle a run."""
    folder = tmp_path_factory.mktemp("bundles")
    for name in RUNS:
        make(folder / name, _truth(name))
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_the_whole_recordings_come_to_what_they_were_made_for(bundles: Path, name: str) -> None:
    verdict = judge(Recording.open(bundles / name))
    assert verdict.status is RUNS[name][1], [(one.name, one.status, one.why) for one in verdict.objectives]
    if name == "passing":
        assert {one.status for one in verdict.objectives} == {Status.PASS}
    if name == "failing":
        failing = {one.checker for one in verdict.objectives if one.status is Status.FAIL}
        assert failing == set(OBJECTIVES) - {"throughput"}


@pytest.mark.parametrize("file", CUTTABLE)
@pytest.mark.parametrize("name", RUNS)
def test_cutting_a_file_short_neither_raises_nor_makes_a_pass_nor_a_fail(
    bundles: Path, tmp_path: Path, name: str, file: str
) -> None:
    """Nothing that rests on a torn recording may pass, whatever it came to before; and what is missing is not held
    against the target."""
    shutil.copytree(bundles / name, tmp_path / name)
    path = tmp_path / name / file
    whole = path.read_bytes()
    failing = _failing(judge(Recording.open(tmp_path / name)))
    for cut in sorted({len(whole) * percent // 100 for percent in range(100)}):
        path.write_bytes(whole[:cut])
        verdict = judge(Recording.open(tmp_path / name))
        passed = [one.name for one in verdict.objectives if one.status is Status.PASS]
        crashed = [one.why for one in verdict.objectives if "crashed:" in one.why]
        assert not passed and not crashed, f"cut at {cut} of {len(whole)} bytes: {passed} {crashed}"
        assert verdict.status is not Status.PASS and verdict.exit_code != 0
        assert _failing(verdict) <= failing, f"cut at {cut} of {len(whole)} bytes: the target is accused of the cut"


@pytest.mark.parametrize("file", IDENTITY)
def test_a_torn_identity_or_plan_is_refused_in_one_sentence(bundles: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(bundles / "passing", tmp_path / "run")
    path = tmp_path / "run" / file
    whole = path.read_bytes().rstrip()
    for cut in sorted({len(whole) * percent // 100 for percent in range(100)}):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordingError) as caught:
            Recording.open(tmp_path / "run")
        assert "damaged" in str(caught.value) and "\n" not in str(caught.value)


@functools.cache
def _everything() -> Truth:
    """Every objective that there is, by its kind's own example, over a history that has something for each."""
    said = {"service": "world", "replica": 0, "pid": 1, "values": {"memory_bytes": 1e6}, "ok": True}
    sampled = [(LOAD_START + n * S // 2, "metrics", {**said, "round": n}) for n in range(38)]
    examples = [YAML(typ="safe").load(checker.kind.example) for checker in checkers().values()]
    changed = {
        "objectives": {name: given for example in examples for name, given in example.items()},
        "history": anything(random.Random(4)),
        "events": [*WHOLE["events"], *sampled],
    }
    return Truth(**{**WHOLE, **changed})


@pytest.mark.parametrize("file", CUTTABLE)
def test_no_objective_that_there_is_takes_a_torn_file_for_a_pass_or_crashes(tmp_path: Path, file: str) -> None:
    make(tmp_path / "run", _everything())
    path = tmp_path / "run" / file
    whole = path.read_bytes()
    assert {one.checker for one in judge(Recording.open(tmp_path / "run")).objectives} == set(checkers())
    step = 1 if file in ("events.jsonl", "history.jsonl") else 5
    for cut in sorted({len(whole) * percent // 100 for percent in range(0, 100, step)}):
        path.write_bytes(whole[:cut])
        for one in judge(Recording.open(tmp_path / "run")).objectives:
            assert one.status is not Status.PASS and "crashed:" not in one.why, f"cut at {cut}: {one}"


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(list(RUNS)),
    kept=st.dictionaries(st.sampled_from(CUTTABLE), st.floats(0, 1, exclude_max=True), min_size=1),
)
def test_several_torn_files_are_no_better_than_one(bundles: Path, name: str, kept: dict[str, float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(shutil.copytree(bundles / name, Path(folder) / name))
        failing = _failing(judge(Recording.open(run)))
        for file, share in kept.items():
            whole = (run / file).read_bytes()
            (run / file).write_bytes(whole[: int(len(whole) * share)])
        verdict = judge(Recording.open(run))
    assert Status.PASS not in {verdict.status, *(one.status for one in verdict.objectives)}
    assert _failing(verdict) <= failing
    assert not [one for one in verdict.objectives if "crashed:" in one.why]


@pytest.mark.parametrize("file", ["events.jsonl", "history.jsonl"])
@pytest.mark.parametrize("name", RUNS)
def test_a_file_that_is_damaged_in_its_middle_takes_every_pass(
    bundles: Path, tmp_path: Path, name: str, file: str
) -> None:
    """As long as before, with its end as before, and yet something is missing: that is no reason to pass, nor are lines
    of the history that nobody can read held against the target."""
    shutil.copytree(bundles / name, tmp_path / name)
    path = tmp_path / name / file
    whole = path.read_bytes()
    for place in range(0, len(whole) - 10, max(1, len(whole) // 40)):
        path.write_bytes(whole[:place] + b"\0" * 10 + whole[place + 10 :])
        for one in judge(Recording.open(tmp_path / name)).objectives:
            assert "crashed:" not in one.why, f"at {place}: {one}"
            needs_it = file == "events.jsonl" or "history" in checkers()[one.checker].kind.needs
            assert one.status is not Status.PASS or not needs_it, f"at {place} of {len(whole)}: {one}"
            accused = file == "history.jsonl" and needs_it and one.status is Status.FAIL
            assert not accused, f"at {place} of {len(whole)}: {one}"


@pytest.mark.parametrize("file", ["samples/swarm-0.arrow", "samples/probe-relay.arrow"])
def test_damaged_samples_crash_nothing(bundles: Path, tmp_path: Path, file: str) -> None:
    """Columns carry no checksum, so that damage within a value cannot always be told from the value."""
    shutil.copytree(bundles / "failing", tmp_path / "run")
    path = tmp_path / "run" / file
    whole = path.read_bytes()
    for place in range(0, len(whole) - 10, max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + b"\0" * 10 + whole[place + 10 :])
        crashed = [one for one in judge(Recording.open(tmp_path / "run")).objectives if "crashed:" in one.why]
        assert not crashed, f"at {place} of {len(whole)}"
