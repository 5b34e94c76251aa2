from __future__ import annotations

import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaosctl.errors import ExperimentError
from chaosctl.experiment.loader import Loaded

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]
NONSENSE = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        "5s",
        "20%",
        "${x}",
        "${X}",
        "$$",
        "world",
        [],
        [[]],
        [{}],
        {},
        {"a": {}},
        "é\x1b",
    ]
)


@pytest.fixture
def good(request: pytest.FixtureRequest) -> str:
    """Return the text of the experiment that `load` loads when given none."""
    load: Load = request.getfixturevalue("load")
    return load().source


def test_a_right_experiment_is_read_with_its_units(load: Load, tmp_path: Path) -> None:
    loaded = load()
    experiment = loaded.experiment
    assert experiment.swarm.cohorts["far"].latency_ns == 120_000_000
    assert experiment.swarm.cohorts["far"].share == 0.2
    assert [item.fault for item in experiment.timeline] == ["latency", "kill", "partition"]
    assert [params.model_dump() for params in loaded.fault_params] == [
        {"latency_ns": 80_000_000, "jitter_ns": 20_000_000},
        {},
        {"how": "blackhole"},
    ]
    assert loaded.objectives["lost_acks"].model_dump() == {"at_most": 0}
    assert loaded.objectives["conserved"].model_dump() == {"totals": ("gold",)}
    assert (loaded.folder, loaded.path) == (tmp_path.resolve(), tmp_path / "experiment.yaml")
    assert loaded.experiment.probe.every_ns == 50_000_000


def test_every_problem_is_reported_at_once_at_its_place(wrong: Wrong, good: str) -> None:
    text = good
    for old, new in [
        ("users: 10", "usrs: 10"),
        ("fault: kill", "fault: kil"),
        ("latency: 80ms", "latncy: 80ms"),
        ("serviceable: 3s", "serviceable: 3"),
        ("needs: [world]", "needs: [wrld]"),
        ("on: world-ledger", "on: world-leger"),
        ("conserved:", "conservd:"),
        ("duration: 40s", "duration: 40"),
        ("status/healthz", "stats/healthz"),
        ("replicas: 2", "replicas: two"),
    ]:
        assert old in text
        text = text.replace(old, new)
    assert wrong(text) == [
        "13:22: the service has no port 'stats'; did you mean 'status'?",
        "17:17: 'two' is not a whole number; write 5",
        "28:3: unknown key 'usrs'; did you mean 'users'?",
        "35:59: unknown key 'latncy'; did you mean 'latency'?",
        "36:23: there is no fault 'kil'; did you mean 'kill'?",
        "37:47: there is no link 'world-leger'; did you mean 'world-ledger'?",
        "38:11: '40' is not a duration; write it as 80ms, 1.5s, 2m or 1m30s",
        "40:28: '3' is not a duration; write it as 80ms, 1.5s, 2m or 1m30s",
        "43:3: there is no objective 'conservd'; did you mean 'conserved'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "version: 2", "1:10: '2' is not known here; there is: 1"),
        ("name: world-crash", "name: World Crash", "2:7: 'World Crash' does not fit; write lower-case letters"),
        ("hypothesis: Players play again within 5 s\n", "", "1:1: 'hypothesis' is missing; add `hypothesis: ...`"),
        ("users: 10", "users: true", "28:10: 'true' is not a whole number; write 5"),
        ("users: 10", "users: 0", "28:10: '0' is out of bounds; write at least 1"),
        ("users: 10", "users:", "28:3: there is no value; write a whole number, or leave the key out"),
        ("ramp: 2s", "ramp_ns: 2s", "29:3: unknown key 'ramp_ns'; did you mean 'ramp'?"),
        ("ramp: 2s", "ramp: [2s]", "29:9: ['2s'] is not a duration"),
        ("    far:", "    Far:", "32:5: 'Far' is no name; write lower-case letters"),
        ("ports: [main]\n    world", "ports: main\n    world", "8:14: 'main' is not a list; write [a, b]"),
        ("[ledger, --listen", "[ledger, 5", "7:21: '5' is not text; write it in quotes"),
        ("run: [ledger, --listen, \"${self.main}\"]", "run: []", "7:12: there are 0 items; write at least 1"),
        ("http: status/healthz", "tcp: main, http: status/healthz", "13:7: give exactly one of tcp, http, log"),
        ("fault: partition", "fault: partition, how: refse", "37:48: 'refse' is not known here; did you mean 'refuse'"),
        ("fault: partition", "fault: partition, params: 5", "37:43: unknown key 'params'"),
        ("fault: partition, on: world-ledger", "fault: partition", "37:5: 'on' is missing in timeline[2]; add"),
        ("{ at: 12s, fault: kill, on: world }", "kill", "36:5: 'kill' is not a mapping"),
        ("fault: kill,", "fault: [kill],", "36:23: this is not text; write it in quotes"),
        ("errors: { at_most: 1% }", "errors: { at_most: 0.01 }", "41:22: '0.01' is not a share; write it as 15%"),
        ("errors: { at_most: 1% }", "errors: { at_most: 1%, during: stedy }", "41:34: 'stedy' is not known here; did"),
        ("lost_acks: 0", "lost_acks: none", "42:14: 'none' is not a whole number"),
        ("lost_acks: 0", "lost_acks: true", "42:14: 'true' is not a whole number; write 0, or how many"),
        ("serviceable: 3s", "serviceable: true", "40:28: 'true' is not a duration; write it as 80ms"),
        ("at_most: 1%", "at_most: 1%, cohort: fat", "41:34: there is no cohort 'fat'; did you mean 'far'?"),
        ("lost_acks: 0", "release: {}", "42:3: nothing measures release: the timeline deploys nothing; add"),
        ("      probe: {", '      porbe: { x: "${state}" }\n      probe: {', "14:7: unknown key 'porbe'; did you"),
        ("bots: bots.py", "bots: bot.py", "27:9: there is no file"),
        ("replicas: 2", "folder: ./nowhere", "17:15: there is no folder"),
        ("users: 10", "users: ${USERS}", "28:10: USERS is not set in the environment; set it"),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_problem(wrong: Wrong, good: str, old: str, new: str, expected: str) -> None:
    text = good.replace(old, new, 1)
    assert text != good
    problems = wrong(text)
    assert len(problems) == 1, problems
    assert problems[0].startswith(expected)
    assert ";" in problems[0] or "give exactly one" in problems[0]


@pytest.mark.parametrize("key", ["target", "swarm", "probe", "timeline", "objectives"])
@pytest.mark.parametrize("value", ["5", "[]", "{}", "[5]", "{x: 5}", "", "text"])
def test_a_part_of_the_wrong_shape_is_a_problem_and_no_traceback(load: Load, good: str, key: str, value: str) -> None:
    lines = good.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{key}:")), len(lines))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    text = "".join((*lines[:start], f"{key}: {value}\n", *lines[end:]))
    if (key, value) in {("probe", "{}"), ("objectives", "{}")}:
        load(text)
    else:
        with pytest.raises(ExperimentError) as caught:
            load(text)
        assert caught.value.problems


def test_set_and_environment_reach_the_experiment(load: Load, good: str) -> None:
    text = good.replace("users: 10", "users: ${USERS:-10}")
    assert load(text).experiment.swarm.users == 10
    assert load(text, USERS="12").experiment.swarm.users == 12
    loaded = load(
        text, "swarm.users=500", "timeline[0].latency=200ms", "objectives.recovery.serviceable=4s", USERS="12"
    )
    assert loaded.experiment.swarm.users == 500
    assert loaded.fault_params[0].model_dump()["latency_ns"] == 200_000_000
    assert loaded.objectives["recovery"].model_dump()["serviceable_ns"] == 4_000_000_000


def test_a_variable_that_set_replaces_need_not_be_there(load: Load, good: str) -> None:
    assert load(good.replace("users: 10", "users: ${USERS}"), "swarm.users=5").experiment.swarm.users == 5


def test_wrong_values_from_outside_name_the_option(wrong: Wrong, good: str) -> None:
    problems = wrong(good, "swarm.usrs=5", "swarm.users=many", "timeline[9].at=1s", "swarm.ramp=5")
    assert problems == [
        "--set:1:1: unknown key 'usrs'; did you mean 'users'?",
        "--set:2:1: 'many' is not a whole number; write 5",
        "--set:3:1: there is no 'timeline[9]'; its last item is [2]",
        "--set:4:1: '5' is not a duration; write it as 80ms, 1.5s, 2m or 1m30s",
    ]


def test_problems_of_a_parent_name_the_parent(load: Load, wrong: Wrong, good: str, tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(good.replace("users: 10", "usrs: 10"))
    assert wrong("extends: ./parent.yaml\nduration: 41\n") == [
        "2:11: '41' is not a duration; write it as 80ms, 1.5s, 2m or 1m30s",
        "parent.yaml:28:3: unknown key 'usrs'; did you mean 'users'?",
    ]
    (tmp_path / "parent.yaml").write_text(good)
    loaded = load("extends: ./parent.yaml\nname: child\nswarm: { cohorts: null }\n")
    assert (loaded.experiment.name, loaded.experiment.swarm.cohorts) == ("child", {})
    assert loaded.source.startswith("extends")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_gives_an_experiment_or_problems_with_mends(load: Load, good: str, data: st.DataObject) -> None:
    tree = YAML(typ="safe").load(good)
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(tree, data)
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, text)
    try:
        load(text.getvalue())
    except ExperimentError as error:
        assert error.problems
        for problem in error.problems:
            assert ";" in problem.text or "give " in problem.text, problem.text
            assert problem.line >= 1


def _damage(node: Any, data: st.DataObject) -> None:
    """Replace, remove or add one thing somewhere below `node`."""
    while isinstance(node, (dict, list)) and node:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.integers(0, 4)):
            node = node[key]
            continue
        how = data.draw(st.sampled_from(["remove", "replace", "add"]))
        if how == "remove":
            del node[key]
        elif how == "replace" or isinstance(node, list):
            node[key] = _nonsense(data)
        else:
            key = data.draw(st.sampled_from(["at", "for", "http", "from", "zzz", "", "[key]", "params"]))
            node[key] = _nonsense(data)
        return


def _nonsense(data: st.DataObject) -> Any:
    """A copy: the next damage may go into it, and the strategy hands out the same object again."""
    return copy.deepcopy(data.draw(NONSENSE))
