from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify import monotonic_reads, read_your_writes
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure import guarantees
from tests.fixtures.generator import Truth, make

# bot, f, value, asked for at, completed at, with what mark (None: no completion)
Op = tuple[str, str, str, int, int, Mark | None]
OK, INFO, FAIL = Mark.OK, Mark.INFO, Mark.FAIL


def write(writer: HistoryWriter, ops: Sequence[Op], key: str = "k") -> None:
    for id, (bot, f, value, asked, done, mark) in enumerate(ops):
        writer.write(asked, Mark.INVOKE, id, bot, f, key, value if f == "add" else None)
        if mark is not None:
            writer.write(done, mark, id, bot, f, key, value)


def check(folder: Path, objective: Any, ops: Sequence[Op], at_most: int = 0) -> Finding:
    recording = make(folder, Truth(history=lambda writer: write(writer, ops)))
    params = objective.CHECKER.kind.params.model_validate(at_most)
    (finding,) = objective.CHECKER.check(recording, params).findings
    assert finding.name == objective.CHECKER.kind.name
    return finding


def test_growing_reads_are_monotonic(tmp_path: Path) -> None:
    finding = check(tmp_path, monotonic_reads, [("a", "read", "1-2", 1, 2, OK), ("a", "read", "1-3", 3, 4, OK)])
    assert finding.status is Status.PASS and finding.measured.value == 0


def test_a_read_that_goes_back_fails_with_both_ids(tmp_path: Path) -> None:
    ops: list[Op] = [("a", "read", "1-9", 1, 2, OK), ("a", "read", "1-5,8", 3, 4, OK), ("a", "read", "1-5,8", 5, 6, OK)]
    finding = check(tmp_path, monotonic_reads, ops)
    assert finding.status is Status.FAIL and finding.measured.value == 3  # once each, not again in the third read
    assert finding.evidence[0].where == "id 1"
    assert "a had read 6 in k" in finding.evidence[0].text and "(id 0)" in finding.evidence[0].text


def test_what_comes_back_and_goes_again_counts_again(tmp_path: Path) -> None:
    ops: list[Op] = [
        ("a", "read", value, 2 * n, 2 * n + 1, OK) for n, value in enumerate(["1-2", "1", "1-2", "1"], start=1)
    ]
    assert check(tmp_path, monotonic_reads, ops, at_most=1).measured.value == 2


@pytest.mark.parametrize(
    "ops",
    [
        [],
        [("a", "read", "1-2", 1, 2, OK)],
        [("a", "read", "1-2", 1, 2, OK), ("b", "read", "1", 3, 4, OK)],
        [("a", "read", "1-2", 1, 4, OK), ("a", "read", "1", 3, 5, OK)],
        [("a", "read", "1-2", 1, 2, INFO), ("a", "read", "1", 3, 4, OK)],
        [("a", "read", "1-2", 1, 2, OK), ("a", "read", "1", 3, 4, FAIL)],
    ],
    ids=["nothing", "one read", "two bots", "overlapping", "unknown first", "failed second"],
)
def test_without_an_earlier_and_a_later_read_it_is_inconclusive(tmp_path: Path, ops: list[Op]) -> None:
    finding = check(tmp_path, monotonic_reads, ops)
    assert finding.status is Status.INCONCLUSIVE and finding.measured.value is None


def test_a_bot_that_finds_its_own_adds_passes(tmp_path: Path) -> None:
    ops: list[Op] = [("a", "add", "1", 1, 2, OK), ("a", "add", "2", 1, 9, OK), ("a", "read", "1", 3, 4, OK)]
    assert check(tmp_path, read_your_writes, ops).status is Status.PASS


def test_a_bot_that_misses_its_own_add_fails(tmp_path: Path) -> None:
    ops: list[Op] = [("a", "add", "7", 1, 2, OK), ("b", "add", "8", 1, 2, OK), ("a", "read", "", 3, 4, OK)]
    finding = check(tmp_path, read_your_writes, ops)
    assert finding.status is Status.FAIL and finding.measured.value == 1
    assert "a had added 7 in k" in finding.evidence[0].text and finding.evidence[0].where == "id 2"
    assert check(tmp_path / "tolerant", read_your_writes, ops, at_most=1).status is Status.PASS


@pytest.mark.parametrize(
    "ops",
    [
        [],
        [("a", "add", "7", 1, 2, OK)],
        [("a", "add", "7", 1, 2, INFO), ("a", "read", "", 3, 4, OK)],
        [("a", "add", "7", 1, 2, None), ("a", "read", "", 3, 4, OK)],
        [("a", "add", "7", 1, 4, OK), ("a", "read", "", 3, 5, OK)],
        [("a", "add", "7", 1, 2, OK), ("b", "read", "", 3, 4, OK)],
    ],
    ids=["nothing", "no read", "unknown add", "open add", "overlapping", "another bot"],
)
def test_without_a_read_after_an_add_of_its_own_it_is_inconclusive(tmp_path: Path, ops: list[Op]) -> None:
    assert check(tmp_path, read_your_writes, ops).status is Status.INCONCLUSIVE


def test_keys_are_apart(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    writer = HistoryWriter(path)
    for id, (key, value) in enumerate([("k", "1-9"), ("l", "1"), ("k", "1-9"), ("l", "2")]):
        writer.write(10 * id, Mark.INVOKE, id, "a", "read", key, None)
        writer.write(10 * id + 1, Mark.OK, id, "a", "read", key, value)
    writer.close()
    kept = guarantees.monotonic_reads(read_history(path, lambda sentence: None))
    assert (kept.judged, kept.count) == (2, 1)
    assert (kept.first[0].key, kept.first[0].element) == ("l", 1)


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 20), st.integers(1, 5), st.sets(st.integers(0, 9))), max_size=8
)


@given(STEPS)
def test_the_first_thing_missing_is_what_plain_sets_miss(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, set[int]]]
) -> None:
    path = tmp_path_factory.mktemp("reads") / "history.jsonl"
    writer = HistoryWriter(path)
    ops: list[Op] = [
        (bot, "read", ",".join(map(str, content)), asked, asked + took, OK) for bot, asked, took, content in steps
    ]
    write(writer, ops)
    writer.close()
    kept = guarantees.monotonic_reads(read_history(path, lambda sentence: None))
    gone = [
        earlier[3] - later[3]
        for earlier in steps
        for later in steps
        if earlier[0] == later[0] and earlier[1] + earlier[2] < later[1]
    ]
    assert (kept.count > 0) == any(gone)


@pytest.mark.parametrize("lacking", [[], [0], [598], [300, 302]])
def test_long_sets_with_gaps_are_followed_to_the_end(tmp_path: Path, lacking: list[int]) -> None:
    ops: list[Op] = []
    for n in range(300):
        there = sorted({*range(0, 2 * n + 1, 2)} - set(lacking if n == 299 else []))
        ops.append(("a", "add", str(2 * n), 20 * n, 20 * n + 1, OK))
        ops.append(("a", "read", ",".join(map(str, there)), 20 * n + 2, 20 * n + 3, OK))
    finding = check(tmp_path, read_your_writes, ops)
    assert finding.measured.value == len(lacking)
    assert finding.status is (Status.FAIL if lacking else Status.PASS)
