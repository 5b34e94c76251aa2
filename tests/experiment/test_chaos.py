from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from typing import cast

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from chaosctl.experiment.kinds import FaultKind, ObjectiveKind, Params
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.schema import experiment_schema

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]
Kinds = tuple[Mapping[str, FaultKind], Mapping[str, ObjectiveKind]]
S = 1_000_000_000

CHAOS = """\
chaos:
  from: 2s
  until: 30s
  gap: 2s
  at_most: 2
  faults:
    - { fault: kill, on: any 1 of gateway, every: 8s, for: 3s }
    - { fault: latency, on: gateway-world, latency: 80ms, for: 2s, every: 5s }
"""
KILL = "fault: kill, on: any 1 of gateway, every: 8s, for: 3s"
SLOW = "fault: latency, on: gateway-world, latency: 80ms, for: 2s, every: 5s"


def test_chaos_is_loaded_with_its_units_resolved(load: Load) -> None:
    loaded = load(load().source + CHAOS)
    chaos = loaded.experiment.chaos
    assert chaos is not None
    assert (chaos.from_ns, chaos.until_ns, chaos.gap_ns, chaos.at_most, chaos.seed) == (2 * S, 30 * S, 2 * S, 2, None)
    assert [(item.every_ns, item.for_ns) for item in chaos.faults] == [(8 * S, 3 * S), (5 * S, 2 * S)]
    assert loaded.chaos_params[1].model_dump() == {"latency_ns": 80_000_000, "jitter_ns": 0}
    assert loaded.fingerprint != load().fingerprint
    assert loaded.fingerprint != load(load().source.replace("80ms", "90ms")).fingerprint


def test_chaos_is_fault_enough_for_an_objective_that_needs_one(load: Load) -> None:
    head, _, rest = load().source.partition("timeline:")
    assert load(f"{head}duration: {rest.split('duration: ')[1]}{CHAOS}").experiment.timeline == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (KILL, "fault: kil, on: gateway, every: 8s", "there is no fault 'kil'; did you mean 'kill'?"),
        (KILL, "fault: kill, on: gatway, every: 8s, for: 1s", "there is no service 'gatway'; did you mean 'gateway'?"),
        (KILL, "fault: kill, on: any 3 of gateway, every: 8s, for: 1s", "'gateway' has 2 replicas, not 3; write at"),
        (
            KILL,
            "fault: kill, on: gateway, every: 8s",
            "nothing undoes kill on 'gateway'; add `for:`, such as for: 4s",
        ),
        (KILL, "fault: kill, on: gateway, for: 8s", "'every' is missing in chaos.faults[0]; add `every: ...`"),
        (KILL, "fault: kill, on: gateway, every: 0s, for: 8s", "'0s' is out of bounds; write at least 100ms"),
        (KILL, "fault: kill, at: 1s, on: gateway, every: 8s, for: 8s", "unknown key 'at'; there is: every, fault, for"),
        (KILL, "fault: restart, on: gateway, every: 8s, for: 8s", "restart happens at one moment; leave `for` out"),
        (SLOW, "fault: latency, on: gateway-world, for: 2s, every: 5s", "'latency' is missing in chaos.faults[1]; add"),
        (SLOW, SLOW.replace("for: 2s, ", ""), "latency lasts until it is healed; add `for:`, such as for: 4s"),
        (SLOW, SLOW.replace("for: 2s", "for: 29s"), "lasts 29s, longer than the chaos (28s); make it shorter"),
        (SLOW, SLOW.replace("80ms", "80"), "'80' is not a duration; write it as 80ms"),
        ("until: 30s", "until: 41s", "ends at 41s, when the load has ended (duration 40s); end it earlier"),
        ("from: 2s", "from: 30s", "begins at 30s, and is over at 30s; make `from` earlier, or `until` later"),
        ("gap: 2s", "gap: 1ms", "'1ms' is out of bounds; write at least 100ms"),
        ("at_most: 2", "at_most: 0", "'0' is out of bounds; write at least 1"),
        ("at_most: 2", "at_mots: 2", "unknown key 'at_mots'; did you mean 'at_most'?"),
        ("gap: 2s", "spacing: even", "'even' is not known here; there is: exponential, uniform"),
        (f"    - {{ {KILL} }}\n    - {{ {SLOW} }}\n", "    []\n", "there are 0 items; write at least 1"),
    ],
)
def test_chaos_that_cannot_be(wrong: Wrong, load: Load, old: str, new: str, expected: str) -> None:
    assert old in CHAOS
    problems = wrong(load().source + CHAOS.replace(old, new))
    assert len(problems) == 1, problems
    assert problems[0].split(": ", 1)[1].startswith(expected)


def test_what_follows_another_fault_never_comes_by_chance(kinds: Kinds) -> None:
    chaos = experiment_schema(*kinds)["$defs"]["Chaos"]["properties"]["faults"]["items"]["oneOf"]
    assert [one["title"] for one in chaos] == [name for name, kind in kinds[0].items() if kind.follows is None]


def test_what_ends_a_service_for_good_needs_somebody_who_starts_it(load: Load, wrong: Wrong, kinds: Kinds) -> None:
    faults = cast("dict[str, FaultKind]", kinds[0])
    faults["crash"] = FaultKind("crash", "service", Params, "never", "life", "", "", takes_down="while")
    try:
        text = load().source + CHAOS.replace(KILL, "fault: crash, on: any 1 of gateway, every: 8s")
        (problem,) = wrong(text)
        assert "nothing undoes crash on 'any 1 of gateway'; add `restart:` to the service" in problem
        assert load(text.replace("replicas: 2", "replicas: 2\n      restart: { after: 500ms }"))
    finally:
        del faults["crash"]


def test_chaos_beyond_the_blast_radius_is_refused(wrong: Wrong, load: Load) -> None:
    every = CHAOS.replace("any 1 of gateway", "gateway")
    kill = "  - { at: 12s, fault: kill, on: world }\n"
    (problem,) = wrong("blast_radius: { at_most: 50% }\n" + load().source.replace(kill, "") + every)
    assert "kill takes down 2 of 2 replicas of 'gateway' at once; blast_radius allows 50%; write 'any 1" in problem


def test_the_schema_knows_chaos(kinds: Kinds, load: Load) -> None:
    checks = Draft202012Validator(experiment_schema(*kinds))

    def errors(text: str) -> int:
        return len(list(checks.iter_errors(YAML(typ="safe").load(StringIO(load().source + text)))))

    assert errors(CHAOS) == 0
    for old, new in (("every: 8s", "at: 8s"), ("latency: 80ms", "latncy: 80ms"), ("fault: kill", "fault: kil")):
        assert errors(CHAOS.replace(old, new)) > 0
