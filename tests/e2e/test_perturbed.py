"""Replays under perturbation, in a whole run: the factor that breaks a target is named, and no other."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Ended, Place, Run, one_sentence
from tests.e2e.shortened import ARENA, objectives, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FACTORS = "hash-seed, timezone, working-folder, malloc-fill, clock, pace, stdin-chunks, open-files, snapshot, restart"
# What can be perturbed on every machine.
SURE = ("timezone", "working-folder", "pace", "stdin-chunks", "open-files", "snapshot", "restart")
BRIEF = sets(
    "swarm.users=10",
    "swarm.ramp=500ms",
    "baseline=500ms",
    "timeline=[]",
    "duration=2s",
    f"objectives={{replay: {{runs: 2, perturb: [{FACTORS}]}}}}",
)


Ends = dict[str, tuple[Run, Ended]]


@pytest.fixture(scope="module")
def perturbed(place: Place) -> Ends:
    """Short runs of the arena side by side, as it should be and with a wall clock in its state."""
    runs = {
        name: place.run(f"perturbed-{name}", *BRIEF, file=ARENA / "world-crash.yaml", ARENA_DEFECT=defect)
        for name, defect in (("clean", ""), ("wall-clock", "wall-clock"))
    }
    return {name: (run, run.ended()) for name, run in runs.items()}


def test_the_factor_that_breaks_the_arena_is_named(perturbed: Ends) -> None:
    runs = {name: run for name, (run, _) in perturbed.items()}
    ended = {name: end for name, (_, end) in perturbed.items()}
    clean, broken = (objectives(runs[name]) for name in ("clean", "wall-clock"))
    canaries = {one["factor"]: one["reached"] for one in runs["clean"].events("replay_canary")}
    assert set(canaries) == set(FACTORS.split(", "))
    for factor, reached in canaries.items():
        assert clean[f"replay.{factor}"]["status"] == ("pass" if reached else "inconclusive"), ended["clean"].out
    assert all(canaries[factor] for factor in SURE), ended["clean"].out
    assert "deterministic under: hash-seed, timezone, working-folder" in ended["clean"].out
    fails = {name for name, finding in broken.items() if finding["status"] == "fail"}
    assert ended["wall-clock"].code == 1
    assert fails == ({"replay", "replay.clock"} if canaries["clock"] else {"replay"})
    for run in runs.values():
        run.nothing_is_left()


def test_a_recorded_run_is_replayed_again(place: Place, perturbed: Ends) -> None:
    run, _ = perturbed["clean"]
    again = place.chaosctl("replay", run.bundle, "--perturb", "timezone,environment", ARENA_DEFECT="")
    assert again.code == 0, again
    lines = [line.split(maxsplit=2) for line in again.out.splitlines()]
    assert [line[:2] for line in lines[:3]] == [
        ["replay", "deterministic"],
        ["replay.timezone", "deterministic"],
        ["replay.environment", "deterministic"],
    ]
    assert "a process started so sees" in lines[1][2]
    assert "deterministic under: timezone, environment" in again.out.splitlines()


def test_a_damaged_log_is_refused_with_its_place_and_a_torn_one_is_said(place: Place, perturbed: Ends) -> None:
    run, _ = perturbed["clean"]
    whole = (run.bundle / "inputs" / "world-0.log").read_bytes()
    damaged, torn = place.folder / "damaged.log", place.folder / "torn.log"
    at = whole.index(b"\n", len(whole) // 2) + 1
    damaged.write_bytes(whole[:at] + b"#" + whole[at + 1 :])
    torn.write_bytes(whole[:-5])
    only_plain = ("replay", run.bundle, "--perturb", "none", "--input")
    refused = place.chaosctl(*only_plain, damaged, ARENA_DEFECT="")
    assert refused.code == 4, refused
    one_sentence(refused, f"the record at byte {at} is damaged")
    taken = place.chaosctl(*only_plain, torn, ARENA_DEFECT="")
    assert taken.code == 0, taken
    assert "are a torn record" in taken.out


def test_a_replay_that_parts_again_names_its_factor_and_is_kept(place: Place, perturbed: Ends) -> None:
    run, _ = perturbed["wall-clock"]
    kept = place.folder / "kept"
    again = place.chaosctl("replay", run.bundle, "--perturb", "timezone", "--out", kept, ARENA_DEFECT="wall-clock")
    assert again.code == 1, again
    assert "broken" in again.out.splitlines()[0]
    assert "replays part already without it" in again.out.splitlines()[1]
    assert (kept / "digests" / "replay-2.jsonl").is_file()
    assert place.chaosctl("verify", kept).code == 1


def test_what_cannot_be_replayed_is_said(place: Place, perturbed: Ends) -> None:
    run, _ = perturbed["clean"]
    for words, env, said in (
        ((run.bundle, "--perturb", "tide"), "", "'tide' is no factor"),
        ((run.bundle, "--perturb", "none"), "wall-clock", "means something else than when the run was made"),
        ((place.folder / "nowhere",), "", "holds no recorded run"),
    ):
        ended = place.chaosctl("replay", *words, ARENA_DEFECT=env)
        assert ended.code == 2, ended
        one_sentence(ended, said)
