from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosctl.recording.factors import HELD, Factor, perturbed_run
from chaosctl.verify.contract import Checked, Status
from chaosctl.verify.measure.context import inputs_of
from chaosctl.verify.replay import CHECKER, ReplayParams
from tests.fixtures.generator import Truth, make

Lines = Sequence[Mapping[str, Any]]
CODES = {"replay-1": 0, "replay-2": 0, "replay-3": 0}


def ticks(count: int = 50, first: int = 1, **changed: str) -> Lines:
    """Ticks first..count; `t7="x"` gives tick 7 another digest."""
    return [
        {"tick": n, "digest": changed.get(f"t{n}", f"d{n}"), "parts": {"bots": "b", "gold": changed.get(f"t{n}", "g")}}
        for n in range(first, count + 1)
    ]


def all_replays(lines: Lines) -> dict[str, Lines]:
    return dict.fromkeys(CODES, lines)


def check(folder: Path, digests: Mapping[str, Lines], codes: Mapping[str, int] = CODES, **truth: Any) -> Checked:
    recording = make(folder, Truth(digests=digests, replay_codes=codes, **truth))
    return CHECKER.check(recording, ReplayParams())


def test_equal_digests_pass(tmp_path: Path) -> None:
    checked = check(tmp_path, {"live": ticks(), **{name: ticks(60) for name in CODES}})
    (finding,) = checked.findings
    assert finding.status is Status.PASS
    assert (finding.measured.value, finding.expected.value) == (3, 3)
    assert "50 ticks" in finding.why
    assert [row["run"] for row in checked.tables["replays"]] == list(CODES)


def test_a_digest_that_never_changes_shows_nothing(tmp_path: Path) -> None:
    def constant(count: int) -> Lines:
        return [{"tick": n, "digest": "00000000"} for n in range(1, count + 1)]

    name = perturbed_run(Factor.HASH_SEED, 1)
    reached = (5, "replay_canary", {"factor": "hash-seed", "reached": True, "text": "seen"})
    digests = {"live": constant(20), **all_replays(constant(20)), name: constant(20)}
    recording = make(tmp_path / "a", Truth(digests=digests, replay_codes={**CODES, name: 0}, events=[reached]))
    plain, factor = CHECKER.check(recording, ReplayParams(perturb=(Factor.HASH_SEED,))).findings
    assert {plain.status, factor.status} == {Status.INCONCLUSIVE}
    assert "the digest is the same at all 20 ticks" in plain.why and "is the same at all 20" in factor.why
    once = check(tmp_path / "b", {"live": constant(1), **all_replays(constant(1))})
    assert once.findings[0].status is Status.PASS  # there is but one state to tell


def test_one_other_digest_fails_at_its_tick_with_inputs_parts_and_fields(tmp_path: Path) -> None:
    digests = {
        "live": ticks(),
        "replay-1": ticks(),
        "replay-2": ticks(t17="x", t30="y"),
        "replay-3": ticks(t20="z"),
        "states-replay-1": [{"tick": 17, "digest": "a", "state": {"now": 1.5, "gold": {"a": 1}, "log": [1]}}],
        "states-replay-2": [{"tick": 17, "digest": "b", "state": {"now": 2.5, "gold": {"a": 1}, "log": [1, 2]}}],
    }
    inputs = {"world-0.log": '{"tick":16,"inputs":[]}\n{"tick":17,"inputs":[["hit","near-1"]]}\ntorn 17'}
    checked = check(tmp_path, digests, inputs=inputs)
    (finding,) = checked.findings
    assert finding.status is Status.FAIL
    assert "replay-2 parts from live at tick 17: log[1] is " in finding.why
    row = checked.tables["replays"][1]
    assert row["first_divergence"] == 17
    assert row["digests"] == ["d17", "x"]
    assert row["parts"] == ["gold"]
    assert row["inputs"] == ['{"tick":17,"inputs":[["hit","near-1"]]}']
    assert [(field["path"], field["left"], field["right"]) for field in row["diff"]] == [
        ("log[1]", "(absent)", 2),
        ("now", 1.5, 2.5),
    ]


@pytest.mark.parametrize(
    ("digests", "codes", "why"),
    [
        ({}, {}, "0 of 3"),
        ({"live": ticks()}, {}, "0 of 3"),
        ({"live": ticks(), "replay-1": ticks(), "replay-2": ticks()}, {"replay-1": 0, "replay-2": 0}, "2 of 3"),
        (
            {"live": ticks(), **all_replays(ticks())},
            {**CODES, "replay-2": 1},
            "replay-2: it ended with code 1",
        ),
        ({"live": ticks(), **all_replays(ticks(49))}, CODES, "1 ticks of live are missing"),
        ({"live": ticks(), **all_replays([])}, CODES, "no digest"),
        ({"live": ticks(), **all_replays(ticks(99, first=60))}, CODES, "50 ticks of live are missing"),
    ],
)
def test_what_did_not_run_shows_nothing(
    tmp_path: Path, digests: Mapping[str, Lines], codes: Mapping[str, int], why: str
) -> None:
    (finding,) = check(tmp_path, digests, codes).findings
    assert finding.status is Status.INCONCLUSIVE
    assert why in finding.why


def test_without_live_digests_replays_are_compared_with_each_other(tmp_path: Path) -> None:
    (finding,) = check(tmp_path / "a", all_replays(ticks())).findings
    assert finding.status is Status.PASS and "the live run left no digests" in finding.why
    (finding,) = check(tmp_path / "b", {**all_replays(ticks()), "replay-3": ticks(t9="x")}).findings
    assert finding.status is Status.FAIL and "replay-3 parts from replay-1 at tick 9" in finding.why


def test_ticks_given_twice_count_as_given_last_and_are_noted(tmp_path: Path) -> None:
    live = [*ticks(20), {"tick": 20, "digest": "redone"}, *ticks(50, first=21)]
    recording = make(tmp_path, Truth(digests={"live": live, **all_replays(ticks(t20="redone"))}, replay_codes=CODES))
    (finding,) = CHECKER.check(recording, ReplayParams()).findings
    assert finding.status is Status.PASS
    assert any("1 tick(s) were given twice, 1 of them with another digest" in note for note in recording.notes)


def test_factors_are_all_or_a_list() -> None:
    assert ReplayParams().perturb == ()
    assert ReplayParams.model_validate({"perturb": "all"}).perturb == tuple(Factor)
    assert ReplayParams.model_validate({"perturb": ["clock", "cpu"]}).perturb == (Factor.CLOCK, Factor.CPU)
    for wrong, said in (("some", "no list of factors"), (["cpu", "cpu"], "named twice"), (["clok"], "clock")):
        with pytest.raises(ValidationError, match=said):
            ReplayParams.model_validate({"perturb": wrong})


def perturbed(folder: Path, digests: Mapping[str, Lines], reached: bool = True) -> Checked:
    canary = (0, "replay_canary", {"factor": "clock", "reached": reached, "text": "of the canary"})
    codes = {name: 0 for name in digests if name != "live"}
    recording = make(folder, Truth(digests=digests, replay_codes=codes, events=[canary]))
    return CHECKER.check(recording, ReplayParams(runs=2, perturb=(Factor.CLOCK,)))


PLAIN = {"live": ticks(), "replay-1": ticks(), "replay-2": ticks()}


@pytest.mark.parametrize(
    ("digests", "statuses", "why"),
    [
        ({**PLAIN, "perturb-clock-1": ticks()}, "pass pass", "the same digest at each of 50 ticks; of the canary"),
        ({**PLAIN, "perturb-clock-1": ticks(t9="x")}, "pass fail", "broken by it: perturb-clock-1 parts from replay-1"),
        ({**PLAIN, "perturb-clock-1": ticks(49)}, "pass inconclusive", "1 ticks of replay-1 are missing"),
        (PLAIN, "pass inconclusive", "no plain and perturbed replay"),
        # The live run is another story than the replays: it says nothing about the perturbation.
        ({**PLAIN, "live": ticks(t7="x"), "perturb-clock-1": ticks()}, "fail pass", "the same digest"),
        ({**PLAIN, "replay-2": ticks(t7="x"), "perturb-clock-1": ticks()}, "fail inconclusive", "part already without"),
        (
            {**PLAIN, "replay-2": ticks(t7="x"), "perturb-clock-1": ticks(), "perturb-clock-again": ticks(t3="x")},
            "fail inconclusive",
            "part already without it",
        ),
        (
            {**PLAIN, "replay-2": ticks(t7="x"), "perturb-clock-1": ticks(), "perturb-clock-again": ticks()},
            "fail inconclusive",  # two may be equal by chance
            "part already without it",
        ),
        (
            {**PLAIN, "replay-2": ticks(t7="x")} | {f"perturb-clock-{which}": ticks() for which in HELD},
            "fail fail",
            "held at one value are equal",
        ),
    ],
)
def test_a_factor_is_judged_apart_from_plain_replays(
    tmp_path: Path, digests: Mapping[str, Lines], statuses: str, why: str
) -> None:
    plain, factor = perturbed(tmp_path, digests).findings
    assert (plain.name, factor.name) == ("replay", "replay.clock")
    assert f"{plain.status} {factor.status}" == statuses
    assert why in factor.why


def test_without_its_canary_nothing_passes(tmp_path: Path) -> None:
    _, factor = perturbed(tmp_path, {**PLAIN, "perturb-clock-1": ticks()}, reached=False).findings
    assert factor.status is Status.INCONCLUSIVE
    assert factor.why == "not tested: because of the canary"


def test_rows_stand_in_the_order_of_the_factors_after_the_plain_replays(tmp_path: Path) -> None:
    names = ["replay-1", "replay-2", "replay-10", "perturb-hash-seed-1", "perturb-timezone-1", "perturb-cpu-1"]
    checked = check(tmp_path, dict.fromkeys(["live", *sorted(names)], ticks()), dict.fromkeys(names, 0))
    assert [row["run"] for row in checked.tables["replays"]] == names


def test_what_explains_a_divergence_is_picked_out(tmp_path: Path) -> None:
    def state(gold: int, now: float) -> dict[str, Any]:
        return {"players": {"near-1": {"gold": gold, "now": now}, "near-2": {"gold": 5, "now": 0}}}

    digests = {
        "live": ticks(),
        "replay-1": ticks(t17="x"),
        "states-replay-1": [{"tick": n, "digest": "a", "state": state(n, 0 if n < 17 else 1.5)} for n in (16, 17, 18)],
        "states-replay-2": [{"tick": n, "digest": "a", "state": state(n, 0 if n < 17 else 2.5)} for n in (16, 17, 18)],
    }
    line = '{"tick":17,"inputs":[["hit","near-1"],["move","near-2"],["chat","near-3","near-11"]],"crc":"x"}\n'
    checked = check(tmp_path, digests, inputs={"world-0.log": '{"tick":16,"inputs":[]}\n' + line})
    row = checked.tables["replays"][0]
    assert row["inputs"] == ['tick 17: ["hit", "near-1"] (and 2 inputs that name none of these fields)']
    (diff,) = row["diff"]
    assert (diff["path"], diff["before"], diff["left"], diff["right"]) == ("players.near-1.now", 0, 1.5, 2.5)


def test_inputs_that_all_bear_on_it_or_none_are_shown_as_they_are(tmp_path: Path) -> None:
    line = '{"tick":17,"inputs":[["hit","near-1"]]}'
    recording = make(tmp_path, Truth(inputs={"world-0.log": line + "\n"}))
    assert inputs_of(recording, 17, ("players.near-1.x",)) == inputs_of(recording, 17, ("near-2",)) == [line]
    assert inputs_of(recording, 7) == []


@pytest.mark.parametrize(("first", "last", "status"), [(1, 50, Status.PASS), (0, 49, Status.PASS), (1, 49, None)])
def test_a_replay_with_more_ticks_than_its_log_shows_nothing(
    tmp_path: Path, first: int, last: int, status: Status | None
) -> None:
    log = "".join(f'{{"tick":{n}}}\n' for n in range(first, last + 1)) + '{"tick":'
    (finding,) = check(tmp_path, {name: ticks() for name in CODES}, inputs={"world-0.log": log}).findings
    assert finding.status is (status or Status.INCONCLUSIVE)
    if status is None:
        assert "it has ticks up to 50, and its input log ends at tick 49" in finding.why


@pytest.mark.parametrize("log", ["", "1\n2\n", "[]\n", '{"tick":"1"}\n', '{"tick":1}\nnothing\n', "\xff\n"])
def test_a_log_that_does_not_say_its_ticks_counts_nothing(tmp_path: Path, log: str) -> None:
    (finding,) = check(tmp_path, {name: ticks() for name in CODES}, inputs={"world-0.log": log}).findings
    assert finding.status is Status.PASS
