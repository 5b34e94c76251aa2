"""Whatever a history lacks or has wrong, no checker raises on its account, and none passes what it could not see."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from chaosctl.recording.model import Mark
from chaosctl.recording.reader import Recording
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Status
from chaosctl.verify.judge import judge
from tests.fixtures.generator import LOAD_START, MS, TIMELINE_START, S, TrueFault, Truth, make

OBJECTIVES: dict[str, Any] = {
    "lost_acks": 0,
    "exactly_once": 0,
    "read_your_writes": 0,
    "monotonic_reads": 0,
    "monotonic_writes": 0,
    "writes_follow_reads": 0,
    "convergence": "5s",
    "inconsistency": "2s",
    "total_order": 0,
    "linearizable": True,
}
ENDED = TIMELINE_START + 10 * S


def history(writer: HistoryWriter) -> None:
    """Three bots add to a set, read it, send to each other, and use a register and a queue; all of it as it should."""
    id = 0

    def done(at: int, bot: str, f: str, key: str, asked: str | None, answered: str | None) -> None:
        nonlocal id
        id += 1
        if f != "receive":
            writer.write(at, Mark.INVOKE, id, bot, f, key, asked)
        writer.write(at + MS, Mark.OK, id, bot, f, key, answered)

    for n in range(1, 61):
        at = LOAD_START + n * 250 * MS
        for place, bot in enumerate("abc"):
            then, element = at + place * 50 * MS, 3 * n + place
            done(then, bot, "add", "set", str(element), str(element))
            done(then + 2 * MS, bot, "read", "set", None, f"3-{element}")
            done(then + 4 * MS, bot, "send", "stream", str(element), str(element))
            done(then + 6 * MS, bot, "write", "register", str(element), str(element))
            done(then + 8 * MS, bot, "get", "register", None, str(element))
            done(then + 10 * MS, bot, "enqueue", "queue", str(element), str(element))
            done(then + 12 * MS, bot, "dequeue", "queue", None, str(element))
            for reader, late in (("a", 20), ("b", 21), ("c", 22)):
                done(then + late * MS, reader, "receive", "stream", None, str(element))


def statuses(recording: Recording) -> dict[str, Status]:
    found = judge(recording).objectives
    assert not [finding for finding in found if "crashed" in finding.why], found
    return {finding.name: finding.status for finding in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle in which every objective holds."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    truth = Truth(objectives=OBJECTIVES, faults=[TrueFault(ready=TIMELINE_START + S)], history=history, rate_per_s=5)
    assert set(statuses(make(folder, truth)).values()) == {Status.PASS}
    return folder


Line = dict[str, Any]
Change = Callable[[list[Line]], list[Line]]


def changed(whole: Path, folder: Path, change: Change) -> dict[str, Status]:
    """Judge the bundle with another history, sealed as if it had been recorded like that."""
    shutil.copytree(whole, folder)
    path = folder / "history.jsonl"
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    for event in events:
        if event["event"] == "sealed":
            event["files"]["history.jsonl"] = path.stat().st_size
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return statuses(Recording.open(folder))


def back(lines: list[Line]) -> list[Line]:
    """The clock jumps back by 3 s in the middle."""
    middle = lines[len(lines) // 2]["at_ns"]
    return [{**line, "at_ns": line["at_ns"] - 3 * S * (line["at_ns"] >= middle)} for line in lines]


NO_PASS: Mapping[str, Change] = {
    "no completions": lambda lines: [line for line in lines if line["mark"] == "invoke"],
    "nothing": lambda lines: [],
    "only unknown outcomes": lambda lines: [
        {**line, "mark": "info" if line["mark"] == "ok" and line["f"] != "receive" else line["mark"]}
        for line in lines
        if line["f"] != "receive"
    ],
    "answers before the questions": lambda lines: [
        {**line, "at_ns": line["at_ns"] - 2 * MS if line["mark"] == "ok" else line["at_ns"]} for line in lines
    ],
    "the clock goes back": back,
}


@pytest.mark.parametrize("change", NO_PASS.values(), ids=NO_PASS)
def test_nothing_passes_that_was_not_seen(whole: Path, tmp_path: Path, change: Change) -> None:
    found = changed(whole, tmp_path / "run", change)
    timeless = {"lost_acks", "lost_acks.phantoms", "exactly_once"}  # whatever the order was
    passed = {name for name, status in found.items() if status is Status.PASS}
    assert passed <= (timeless if change in (back, NO_PASS["answers before the questions"]) else set())


SURVIVED: Mapping[str, Change] = {
    "no invokes": lambda lines: [line for line in lines if line["mark"] != "invoke"],
    "shuffled": lambda lines: sorted(lines, key=lambda line: str(line["id"])[::-1]),
    "no values": lambda lines: [{**line, "value": None} for line in lines if line["f"] in ("read", "get", "dequeue")],
    "each line twice": lambda lines: [line for line in lines for _ in range(2)],
    "times before the start": lambda lines: [{**line, "at_ns": line["at_ns"] - 20 * S} for line in lines],
    "one moment": lambda lines: [{**line, "at_ns": S} for line in lines],
    "one id": lambda lines: [{**line, "id": 1} for line in lines],
    "no bot": lambda lines: [{key: value for key, value in line.items() if key != "bot"} for line in lines],
}


@pytest.mark.parametrize("change", SURVIVED.values(), ids=SURVIVED)
def test_no_checker_raises(whole: Path, tmp_path: Path, change: Change) -> None:
    changed(whole, tmp_path / "run", change)


def test_a_history_that_ends_early_neither_passes_nor_accuses(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run" / "history.jsonl"
    text = path.read_bytes()
    for percent in range(0, 100, 3):
        path.write_bytes(text[: len(text) * percent // 100])
        assert set(statuses(Recording.open(tmp_path / "run")).values()) == {Status.INCONCLUSIVE}, percent
