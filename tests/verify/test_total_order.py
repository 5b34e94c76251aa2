from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure.streams import Streams, streams
from chaosctl.verify.total_order import CHECKER
from tests.fixtures.generator import MS, Truth, make

OK, INFO, FAIL = Mark.OK, Mark.INFO, Mark.FAIL
# Element: sender, asked for at, completed at, with what mark (None: no completion).
Sent = dict[int, tuple[str, int, int, Mark | None]]
IN_TURN: Sent = {n: ("s", 10 * n * MS, (10 * n + 1) * MS, OK) for n in range(1, 7)}


def write(writer: HistoryWriter, sent: Sent, received: dict[str, Sequence[int]], key: str = "k") -> None:
    for element, (bot, asked, done, mark) in sent.items():
        writer.write(asked, Mark.INVOKE, element, bot, "send", key, str(element))
        if mark is not None:
            writer.write(done, mark, element, bot, "send", key, str(element))
    id = 1_000
    for bot, elements in received.items():
        for n, element in enumerate(elements):
            id += 1
            writer.write((500 + n) * MS, Mark.OK, id, bot, "receive", key, str(element))


def check(folder: Path, sent: Sent, received: dict[str, Sequence[int]], given: Any = 0) -> dict[str, Finding]:
    recording = make(folder, Truth(history=lambda writer: write(writer, sent, received)))
    findings = CHECKER.check(recording, CHECKER.kind.params.model_validate(given)).findings
    return {finding.name.partition(".")[2]: finding for finding in findings}


def statuses(found: dict[str, Finding]) -> dict[str, Status]:
    return {name: finding.status for name, finding in found.items()}


ALL = dict.fromkeys(("lost", "duplicated", "reordered", "phantoms"), Status.PASS)


@pytest.mark.parametrize(
    "received",
    [
        {"a": range(1, 7), "b": range(1, 7)},
        {"a": range(1, 7), "late": range(4, 7), "left": range(1, 3)},
        {"a": range(1, 5), "b": range(3, 7)},
    ],
    ids=["all", "joined late, left early", "overlapping"],
)
def test_one_order_for_all_passes(tmp_path: Path, received: dict[str, Sequence[int]]) -> None:
    assert statuses(check(tmp_path, IN_TURN, received)) == ALL


def test_what_a_receiver_misses_in_between_is_lost(tmp_path: Path) -> None:
    found = check(tmp_path, IN_TURN, {"a": range(1, 7), "b": [1, 2, 5, 6]})
    assert statuses(found) == {**ALL, "lost": Status.FAIL} and found["lost"].measured.value == 2
    assert found["lost"].evidence[0].text == "3 of k was sent and reached others, but not b"
    assert found["lost"].evidence[0].where == "id 3"
    assert statuses(check(tmp_path / "tolerant", IN_TURN, {"a": range(1, 7), "b": [1, 2, 5, 6]}, 2)) == ALL


def test_what_nobody_got_is_lost_when_something_sent_later_arrived(tmp_path: Path) -> None:
    found = check(tmp_path, IN_TURN, {"a": [1, 2, 4, 5, 6], "b": [1, 2, 4, 5, 6]})
    assert (
        found["lost"].status is Status.FAIL and "3 of k was sent and reached nobody" in found["lost"].evidence[0].text
    )
    found = check(tmp_path / "end", IN_TURN, {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5]})
    assert found["lost"].status is Status.INCONCLUSIVE and "1 acknowledged elements reached nobody" in found["lost"].why


def test_sends_of_unknown_outcome_are_neither_lost_nor_extra(tmp_path: Path) -> None:
    sent: Sent = {**IN_TURN, 3: ("s", 30 * MS, 31 * MS, INFO), 4: ("s", 40 * MS, 0, None)}
    assert statuses(check(tmp_path, sent, {"a": [1, 2, 4, 5, 6], "b": [1, 2, 4, 5, 6]})) == ALL


def test_what_a_receiver_gets_twice_is_duplicated(tmp_path: Path) -> None:
    found = check(tmp_path, IN_TURN, {"a": [1, 2, 3, 2, 2, 4, 5, 6], "b": range(1, 7)})
    assert statuses(found) == {**ALL, "duplicated": Status.FAIL} and found["duplicated"].measured.value == 1
    assert found["duplicated"].evidence[0].text == "a received 2 of k again"


def test_two_receivers_with_different_orders_are_out_of_order(tmp_path: Path) -> None:
    sent: Sent = {n: (f"s{n}", 10 * MS, 400 * MS, OK) for n in range(1, 7)}
    found = check(tmp_path, sent, {"a": [4, 1, 2, 3, 5, 6], "b": [4, 1, 3, 2, 5, 6]})
    assert statuses(found) == {**ALL, "reordered": Status.FAIL} and found["reordered"].measured.value == 1
    assert found["reordered"].evidence[0].text == "b received 2 of k after 3, which should follow it"
    assert statuses(check(tmp_path / "same", sent, {"a": [4, 1, 2, 3, 5, 6], "b": [4, 1, 2, 3, 5, 6]})) == ALL


def test_one_receiver_is_enough_to_see_a_senders_order_broken(tmp_path: Path) -> None:
    found = check(tmp_path, IN_TURN, {"a": [1, 2, 5, 3, 4, 6]})
    assert found["reordered"].status is Status.FAIL and found["reordered"].measured.value == 2


def test_what_nobody_sent_is_a_phantom(tmp_path: Path) -> None:
    found = check(tmp_path, IN_TURN, {"a": [*range(1, 7), 99], "b": [*range(1, 7), 99]})
    assert statuses(found) == {**ALL, "phantoms": Status.FAIL} and found["phantoms"].measured.value == 1


@pytest.mark.parametrize("sent", [{}, IN_TURN])
def test_where_nothing_was_received_nothing_is_known(tmp_path: Path, sent: Sent) -> None:
    assert set(statuses(check(tmp_path, sent, {})).values()) == {Status.INCONCLUSIVE}


def test_one_receiver_of_overlapping_sends_says_nothing_about_order(tmp_path: Path) -> None:
    sent: Sent = {n: (f"s{n}", 10 * MS, 400 * MS, OK) for n in range(1, 4)}
    assert statuses(check(tmp_path, sent, {"a": [3, 1, 2]})) == {**ALL, "reordered": Status.INCONCLUSIVE}


def test_an_element_that_is_no_number_is_said(tmp_path: Path) -> None:
    def history(writer: HistoryWriter) -> None:
        writer.write(1, Mark.OK, 1, "a", "receive", "k", "x")

    with pytest.raises(ValueError, match="not a decimal integer"):
        CHECKER.check(make(tmp_path, Truth(history=history)), CHECKER.kind.params())


def judged(folder: Path, sent: Sent, received: dict[str, Sequence[int]]) -> Streams:
    writer = HistoryWriter(folder / "history.jsonl")
    write(writer, sent, received)
    writer.close()
    return streams(read_history(folder / "history.jsonl", lambda sentence: None))


SENDERS = st.lists(st.tuples(st.sampled_from("st"), st.integers(0, 20), st.integers(0, 5), st.booleans()), max_size=6)


@settings(max_examples=200, deadline=None)
@given(SENDERS, st.lists(st.lists(st.integers(0, 6), max_size=7), max_size=2))
def test_it_finds_what_looking_at_all_pairs_finds(
    tmp_path_factory: pytest.TempPathFactory, senders: list[tuple[str, int, int, bool]], received: list[list[int]]
) -> None:
    sent: Sent = {
        n: (bot, asked, asked + took, OK if sure else INFO) for n, (bot, asked, took, sure) in enumerate(senders)
    }
    named = dict(zip("ab", received, strict=False))
    found = judged(tmp_path_factory.mktemp("streams"), sent, named)
    assert found.phantoms.count == len({e for got in received for e in got if e not in sent})
    assert found.duplicated.count == sum(len({e for e in got if got.count(e) > 1}) for got in received)
    orders = [list(dict.fromkeys(e for e in got if e in sent)) for got in received]
    pairs = [set(combinations(order, 2)) for order in orders]
    crossed = {(x, y) for one in pairs for other in pairs for x, y in one if (y, x) in other}
    broken = {
        (x, y)
        for order in pairs
        for x, y in order
        if sent[x][0] == sent[y][0] and sent[y][3] is OK and sent[y][2] < sent[x][1]
    }
    assert (found.reordered.count > 0) == bool(crossed or broken)
    got = {e for order in orders for e in order}
    gone = {
        e
        for e, (_, _, done, mark) in sent.items()
        if e not in got and mark is OK and any(done < sent[other][1] for other in got)
    }
    gaps = {
        between
        for one in orders
        for other in orders
        for n, between in enumerate(one)
        if between not in other and set(one[:n]) & set(other) and set(one[n + 1 :]) & set(other)
    }
    assert found.lost.count == len(gone | gaps)


@pytest.mark.parametrize("received", [[5, 6], [6, 5]], ids=["the first attempt", "the second attempt"])
def test_what_was_sent_again_is_one_element_that_anybody_may_have_got(tmp_path: Path, received: list[int]) -> None:
    def write(writer: HistoryWriter) -> None:
        lines = [(1, "s", 5, 10, INFO), (2, "s", 6, 20, OK), (3, "s", 5, 30, OK), (4, "t", 7, 25, OK)]
        for id, bot, element, at, mark in lines:
            writer.write(at * MS, Mark.INVOKE, id, bot, "send", "k", str(element))
            writer.write((at + 1) * MS, mark, id, bot, "send", "k", str(element))
        for n, element in enumerate(received):
            writer.write((500 + n) * MS, OK, 10 + n, "r", "receive", "k", str(element))

    checked = CHECKER.check(make(tmp_path, Truth(history=write)), CHECKER.kind.params())
    lost, duplicated, reordered, phantoms = checked.findings
    assert {one.status for one in (duplicated, reordered, phantoms)} == {Status.PASS}
    # 7 reached nobody; the first attempt of 5 was made before it, so that nothing sent later than 7 was received.
    assert (lost.status, lost.measured.value) == (Status.INCONCLUSIVE, 0)
    assert "1 acknowledged elements reached nobody" in lost.why
