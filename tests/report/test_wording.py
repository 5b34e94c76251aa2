"""The words are part of what people script against and quote; they say exactly what was measured."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.report.wording import (
    amount,
    cell,
    exit_meaning,
    expectation,
    headline,
    label,
    measurement,
    quantity,
    rerun_command,
    sentence,
    status_word,
)
from chaosctl.verify.contract import Quantity, Status
from tests.report.bundle import LATE, LOST, MS, UNSEEN, S, finding, verdict


@pytest.mark.parametrize(
    ("measured", "uncertainty", "text"),
    [
        (Quantity(1.25 * S, "ns"), 50 * MS, "1.25 s ± 50 ms"),
        (Quantity(125 * S, "ns"), 0, "2 min 5 s ± 0 s"),
        (Quantity(12 * S, "ns", censored=True), 50 * MS, "> 12 s"),
        (Quantity(0.0002, "share"), 0.0001, "0.02 % ± 0.01 %"),
        (Quantity(3, "operations"), None, "3 operations"),
        (Quantity(3, "operations"), 0, "3 ± 0 operations"),
        (Quantity(3, "count"), 0, "3 ± 0"),
        (Quantity(12_400.4, "1/s"), 10, "12 400/s ± 10/s"),
        (Quantity(None, "ns"), 5, "–"),
        (Quantity(math.nan, "ns"), 5, "–"),
    ],
)
def test_a_quantity_carries_its_unit_and_its_uncertainty(
    measured: Quantity, uncertainty: float | None, text: str
) -> None:
    assert quantity(measured, uncertainty) == text


@given(st.floats(), st.sampled_from(["ns", "share", "1/s", "count", "gold"]))
def test_any_number_can_be_said(value: float, unit: str) -> None:
    assert amount(value, unit)


def test_a_finding_in_one_sentence() -> None:
    assert sentence(LOST) == (
        "lost_acks: expected = 0 operations, measured 3 ± 0 operations. "
        "3 acknowledged operations are gone; the oldest was 1.2 s old."
    )
    assert expectation(finding()) == "≤ 3 s"
    assert measurement(UNSEEN) == "not measured"
    assert measurement(LATE) == "> 12 s"


def test_statuses_have_a_mark_and_a_word() -> None:
    words = {status_word(status) for status in Status}
    assert words == {"✔ pass", "? inconclusive", "✘ fail"}


def test_the_headline_counts() -> None:
    assert headline(verdict()) == "All 1 objectives hold"
    assert headline(verdict(Status.FAIL, finding(), LOST, UNSEEN)) == "1 of 3 objectives failed, 1 of 3 is inconclusive"
    assert headline(verdict(Status.INCONCLUSIVE, objectives=())) == "No objective was judged"


def test_every_exit_code_has_a_meaning() -> None:
    assert exit_meaning(6) == "something that is needed for a verdict could not be seen"
    assert exit_meaning(99) == "unknown"


@pytest.mark.parametrize(
    "command",
    [
        "/opt/bin/chaosctl run 'a b.yaml' --out /tmp/x --set swarm.users=5",
        ["chaosctl", "run", "a b.yaml", "--out=/tmp/x", "--set", "swarm.users=5", "--seed", "99"],
    ],
)
def test_the_command_runs_the_same_seed_again_in_a_new_folder(command: object) -> None:
    again = rerun_command({"command": command}, verdict())
    assert again == "chaosctl run 'a b.yaml' --set swarm.users=5 --seed 7"


def test_fields_are_said_with_the_unit_in_their_name() -> None:
    assert cell("healed_ns", 1_500 * MS) == "1.5 s"
    assert cell("lag_ms_p99", 2.5) == "2.5 ms"
    assert cell("cpu_share", 0.31) == "31 %"
    assert cell("outages", {"refused": 3}) == "refused 3"
    assert cell("proved", False) == "no"
    assert cell("anything", {}) == cell("anything", None) == "–"
    assert label("lag_ms_p99") == "lag p99"
