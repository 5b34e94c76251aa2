from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosctl.recording.columns import read_history
from chaosctl.recording.model import Mark
from chaosctl.recording.writer import HistoryWriter
from chaosctl.verify.atomic import CHECKER, AtomicParams
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.measure.flights import VALUES, events_of
from tests.fixtures.generator import LOAD_START, MS, Truth, make

Told = tuple[str, str, str]  # event, bot, what it was told


def _write(writer: HistoryWriter, told: list[Told]) -> None:
    for n, (event, bot, value) in enumerate(told):
        writer.write(LOAD_START + n * MS, Mark.OK, n + 1, bot, "event", event, value)


def check(folder: Path, told: list[Told], at_most: int = 0) -> Finding:
    truth = Truth(history=lambda writer: _write(writer, told), faults=())
    (finding,) = CHECKER.check(make(folder, truth), AtomicParams.model_validate(at_most)).findings
    return finding


WHOLE = [("m1", "a", "settled"), ("m1", "b", "settled"), ("m2", "a", "rolled_back"), ("m2", "b", "rolled_back")]


def test_events_that_end_alike_for_everybody_pass(tmp_path: Path) -> None:
    finding = check(tmp_path, [*WHOLE, ("m3", "a", "settled"), ("m3", "b", "open")])
    assert finding.status is Status.PASS
    assert finding.measured.value == 0
    assert "0 of 2 events" in finding.why


@pytest.mark.parametrize("second", ["rolled_back", "absent"])
def test_an_event_that_ends_differently_for_two_fails_with_their_words(tmp_path: Path, second: str) -> None:
    told = [*WHOLE, ("m3", "a", "settled"), ("m3", "b", second)]
    finding = check(tmp_path, told)
    assert finding.status is Status.FAIL
    assert finding.measured.value == 1
    assert f"m3, a: settled 1.004s; b: {second} 1.005s" in finding.evidence[0].text
    assert finding.evidence[0].where == "id 6"
    assert check(tmp_path / "2", told, at_most=1).status is Status.PASS


@pytest.mark.parametrize("told", [[], [("m1", "a", "settled"), ("m2", "b", "settled")], [("m1", "a", "started")]])
def test_without_two_who_were_told_an_end_nothing_is_known(tmp_path: Path, told: list[Told]) -> None:
    finding = check(tmp_path, told)
    assert finding.status is Status.INCONCLUSIVE
    assert finding.measured.value is None


def test_one_bot_that_is_told_two_ends_is_not_a_matter_of_parts(tmp_path: Path) -> None:
    assert check(tmp_path, [*WHOLE, ("m1", "a", "rolled_back")]).status is Status.PASS


@settings(max_examples=100, deadline=None)
@given(
    told=st.lists(
        st.tuples(st.sampled_from(["m1", "m2"]), st.sampled_from("abc"), st.sampled_from(VALUES)), max_size=12
    )
)
def test_it_finds_what_a_plain_comparison_finds(tmp_path_factory: pytest.TempPathFactory, told: list[Told]) -> None:
    path = tmp_path_factory.mktemp("events") / "history.jsonl"
    writer = HistoryWriter(path)
    _write(writer, told)
    writer.close()
    history = read_history(path, lambda sentence: None)
    events = events_of(history)
    broken = {history.keys[key] for key in events.key[events.half].tolist()}
    assert broken == {event for event in ("m1", "m2") if _broken([line for line in told if line[0] == event])}


def _broken(told: list[Told]) -> bool:
    ends = [{value for _, bot, value in told if bot == who and value in VALUES[1:3]} for who in "abc"]
    absent = any(value == "absent" for _, _, value in told)
    return ({"settled"} in ends and {"rolled_back"} in ends) or (absent and any(ends))


def test_what_was_told_again_and_again_stands_there_once(tmp_path: Path) -> None:
    told = [("m1", "a", "settled"), *[("m1", "b", "open")] * 3, ("m1", "b", "rolled_back")]
    assert "m1, a: settled 1.000s; b: open 1.001s to 1.003s (3 times), rolled_back 1.004s" in (
        check(tmp_path, told).evidence[0].text
    )
