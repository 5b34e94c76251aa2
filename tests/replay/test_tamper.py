"""Tampering: one input at a time is changed, by the seed; what digests do not notice is told from what they do."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.model import Replay
from chaosctl.recording.reader import Recording
from chaosctl.replay.inputs import Tick
from chaosctl.replay.tamper import Tampered, changes, tamper
from chaosctl.verify.contract import Finding, Status
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import Truth, make
from tests.replay.target import CHANCE, Inputs, Told, log_of, offered, perturbing

scalars = st.integers(-5, 5) | st.booleans() | st.text(max_size=3) | st.none()
inputs = st.lists(scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=2), scalars), max_size=3)


@given(st.lists(inputs, max_size=6), st.integers(0, 99))
def test_each_change_touches_one_input_or_swaps_two(given_inputs: list[list[Any]], seed: int) -> None:
    ticks = tuple(Tick(n, tuple(each)) for n, each in enumerate(given_inputs, 1))
    before = [(one.tick, json.dumps(given)) for one in ticks for given in one.inputs]
    found = list(changes(ticks, seed, 8))
    assert len(found) == (8 if before else 0)
    assert found == list(changes(ticks, seed, 8))
    for change, changed in found:
        after = [(one.tick, json.dumps(given)) for one in changed for given in one.inputs]
        gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
        moved = (len(after) - len(before), gone.total(), come.total())
        expected = {"drop": [(-1, 1, 0)], "duplicate": [(1, 0, 1)], "alter": [(0, 1, 1)]}
        # Swapped within one tick, the same inputs stand in another order.
        assert moved in expected.get(change.change, [(0, 2, 2), (0, 0, 0)])
        assert after != before
        assert [one.tick for one in changed] == [one.tick for one in ticks]


def test_another_seed_changes_something_else() -> None:
    ticks = tuple(Tick(n, (["set", f"k{n}", n],)) for n in range(50))
    one, other = ([change for change, _ in changes(ticks, seed, 8)] for seed in (1, 2))
    assert one != other
    assert [change.change for change in one] == ["drop", "swap", "duplicate", "alter"] * 2


def test_without_inputs_there_is_nothing_to_change() -> None:
    assert list(changes((Tick(1, ()), Tick(2, ())), 7, 8)) == []


LOG: Inputs = {n: [["set", "k", n], ["add", "n", n]] for n in range(1, 9)}


def judged(folder: Path, replay: Replay, inputs: Inputs = LOG, trials: int = 8) -> tuple[list[Tampered], Finding]:
    bundle = make(folder, Truth()).folder
    (bundle / "inputs" / "world-0.log").write_text(log_of(12, inputs))
    told = Told()
    shared = perturbing(bundle, replay, told)
    shared.plain_and_all(2, ())
    done = list(tamper(shared, 7, trials))
    told.all("tampered", done)
    with (bundle / "events.jsonl").open("a") as file:
        file.writelines(json.dumps({"at_ns": at, "event": name, **fields}) + "\n" for at, name, fields in told.events)
    checked = CHECKER.check(Recording.open(bundle), ReplayParams(runs=2, tamper=trials))
    (finding,) = [finding for finding in checked.findings if finding.name == "replay.isolation"]
    return done, finding


@pytest.mark.e2e
def test_digests_that_cover_every_input_notice_every_change(tmp_path: Path) -> None:
    done, finding = judged(tmp_path, offered())
    assert [one.noticed for one in done] == [False, *[True] * 8]
    assert finding.status is Status.PASS, finding
    assert (finding.measured.value, finding.expected.value) == (8, 8)


@pytest.mark.e2e
def test_digests_that_do_not_cover_every_input_are_a_fail_of_the_recording(tmp_path: Path) -> None:
    # What is set is set again later, so that most changes of it are gone in the end; digests come every 10 ticks.
    done, finding = judged(tmp_path, offered(covers="state", every=10))
    missed = [one for one in done[1:] if one.noticed is False]
    assert missed
    assert finding.status is Status.FAIL
    assert f"of the recording itself: its digests do not cover {missed[0].text} in tick {missed[0].tick}" in finding.why
    assert f"trial {missed[0].trial}, tick {missed[0].tick}: " in finding.evidence[0].text


@pytest.mark.e2e
def test_what_the_target_refuses_is_noticed(tmp_path: Path) -> None:
    inputs: Inputs = {1: [["set", "k", 1]]}
    refusals = [
        one for one in judged(tmp_path, offered(), inputs, 40)[0] if "refused: it exited with code 4" in one.how
    ]
    assert refusals and all(one.noticed for one in refusals)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("replay", "inputs", "why"),
    [
        (offered(CHANCE), {1: [["set", "armed", 1], ["stamp", "x", 1]]}, "replays part already without it"),
        (offered(), {}, "0 of 8 changes were tried"),
        (Replay(run=("cat", "${input_log}", "no-such-file")), LOG, "is not the same: refused: it exited with code 1"),
    ],
)
def test_where_a_difference_says_nothing_nothing_is_said(
    tmp_path: Path, replay: Replay, inputs: Inputs, why: str
) -> None:
    _, finding = judged(tmp_path, replay, inputs)
    assert finding.status is Status.INCONCLUSIVE
    assert finding.why.startswith("not tested: because ") and why in finding.why


@pytest.mark.e2e
def test_a_log_that_cannot_be_edited_is_not_tampered_with(tmp_path: Path) -> None:
    bundle = make(tmp_path, Truth()).folder
    (bundle / "inputs" / "world-0.log").write_text("7\n")
    (only,) = tamper(perturbing(bundle, offered(), Told()), 7, 8)
    assert only.noticed is None and "offers no `replay.inputs`" in only.how


def test_without_trials_nothing_is_done(tmp_path: Path) -> None:
    assert list(tamper(perturbing(tmp_path, offered(), Told()), 7, 0)) == []
