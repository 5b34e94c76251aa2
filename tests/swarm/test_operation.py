"""What becomes of an operation, by how it is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chaosctl.recording.model import Outcome
from chaosctl.swarm.lines import Cut, Refused, Silent
from chaosctl.swarm.operation import Operation
from chaosctl.swarm.recorder import KINDS_OF_ERROR, Recorder


class FakeBot:
    name, cohort = "near-0", "near"

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.questions_sent = 0
        self.ended: list[Operation] = []

    def begin_operation(self) -> int:
        return 5

    def end_operation(self, operation: Operation) -> None:
        self.ended.append(operation)


@pytest.fixture
def bot(tmp_path: Path) -> FakeBot:
    (tmp_path / "samples").mkdir()
    return FakeBot(Recorder(tmp_path, 0, 1, 3, open_loop=True))


def recorded(bot: FakeBot, bundle: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    bot.recorder.close()
    with pa.ipc.open_stream(bundle / "samples" / "swarm-1.arrow") as stream:
        samples = stream.read_all().to_pylist()
    return samples, [json.loads(line) for line in (bundle / "history.jsonl").read_text().splitlines()]


def refused_after_sending(bot: FakeBot, operation: Operation) -> None:
    bot.questions_sent += 1
    raise Refused


def raising(error: BaseException) -> Callable[[FakeBot, Operation], None]:
    def leave(bot: FakeBot, operation: Operation) -> None:
        raise error

    return leave


def failed_then_cut(bot: FakeBot, operation: Operation) -> None:
    operation.fail("sold out")
    raise Cut


@pytest.mark.parametrize(
    ("leave", "outcome", "reason", "mark"),
    [
        (lambda bot, operation: None, Outcome.OK, "", "ok"),
        (lambda bot, operation: operation.fail("no"), Outcome.FAIL, "no", "fail"),
        (lambda bot, operation: operation.info("?"), Outcome.INFO, "?", "info"),
        (raising(Refused()), Outcome.FAIL, "refused", "fail"),
        (refused_after_sending, Outcome.INFO, "refused", "info"),
        (raising(Cut()), Outcome.INFO, "cut", "info"),
        (raising(Silent()), Outcome.INFO, "silent", "info"),
        (failed_then_cut, Outcome.FAIL, "sold out", "fail"),
    ],
)
def test_outcome(
    bot: FakeBot, tmp_path: Path, leave: Callable[..., None], outcome: Outcome, reason: str, mark: str
) -> None:
    with Operation(bot, "buy", "add", None, "17") as operation:
        leave(bot, operation)
    (sample,), history = recorded(bot, tmp_path)
    assert (sample["outcome"], sample["error"], sample["operation"]) == (outcome, reason, "buy")
    assert sample["intended_ns"] == 5 <= sample["sent_ns"] <= sample["end_ns"]
    assert [line["mark"] for line in history] == ["invoke", mark]
    assert {(line["id"], line["key"], line["value"]) for line in history} == {(1, "near-0", "17")}
    assert bot.ended == [operation]


def test_another_exception_goes_on_and_nobody_knows(bot: FakeBot, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Operation(bot, "buy", "add", "k", "17"):
        _ = 1 // 0
    (sample,), history = recorded(bot, tmp_path)
    assert (sample["outcome"], sample["error"]) == (Outcome.INFO, "ZeroDivisionError")
    assert [line["mark"] for line in history] == ["invoke", "info"]


def test_what_the_end_of_the_load_interrupts_has_no_end(bot: FakeBot, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Operation(bot, "buy", "add", "k", "17"):
        raise KeyboardInterrupt
    (sample,), history = recorded(bot, tmp_path)
    assert (sample["outcome"], sample["error"], sample["end_ns"]) == (Outcome.INFO, "unfinished", -1)
    assert [line["mark"] for line in history] == ["invoke"]


def test_a_read_has_its_value_at_its_end(bot: FakeBot, tmp_path: Path) -> None:
    with Operation(bot, "audit", "read", "k", None) as operation:
        operation.ok("1-3")
    assert [line["value"] for line in recorded(bot, tmp_path)[1]] == [None, "1-3"]


def test_ids_of_workers_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    recorders = [Recorder(tmp_path, 0, worker, 2, open_loop=True) for worker in range(2)]
    ids = [recorder.next_id() for recorder in recorders for _ in range(50)]
    assert len(set(ids)) == 100


def test_reasons_that_carry_numbers_do_not_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    recorder = Recorder(tmp_path, 0, 0, 1, open_loop=True)
    for number in range(KINDS_OF_ERROR + 50):
        recorder.sample(0, 0, 1, Outcome.FAIL, "b", "o", "c", f"no {number}")
    recorder.close()
    with pa.ipc.open_stream(tmp_path / "samples" / "swarm-0.arrow") as stream:
        errors = set(stream.read_all()["error"].to_pylist())
    assert len(errors) == KINDS_OF_ERROR + 1
    assert "other" in errors
