from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from chaosctl.experiment.kinds import FaultKinds, ObjectiveKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.schema import experiment_schema
from chaosctl.faults.registry import fault_kinds
from chaosctl.verify.registry import objective_kinds

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(path for path in (ROOT / "experiments").glob("*/*.yaml") if not path.name.startswith("compose"))
Load = Callable[..., Loaded]
Kinds = tuple[FaultKinds, ObjectiveKinds]


def errors(schema: dict[str, Any], text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(YAML(typ="safe").load(text))]


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield f"{path}.{name}", value
        for name, value in schema.items():
            yield from properties(value, f"{path}/{name}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from properties(value, f"{path}/{index}")


@pytest.fixture
def schema(kinds: Kinds) -> dict[str, Any]:
    return experiment_schema(*kinds)


@pytest.fixture(scope="module")
def installed() -> dict[str, Any]:
    return experiment_schema(fault_kinds(), objective_kinds())


def inherited(path: Path) -> bool:
    """Return whether the file is only a part, which the experiments beside it extend, and extends nothing itself."""
    return not {"name", "extends"} & YAML(typ="safe").load(path).keys()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[str(path.relative_to(ROOT)) for path in EXPERIMENTS])
def test_every_experiment_of_the_repository_fits(path: Path, installed: dict[str, Any]) -> None:
    text = path.read_text()
    assert errors(installed, f"extends: whole.yaml\n{text}" if inherited(path) else text) == []


def test_it_is_a_schema_and_says_what_every_key_is(installed: dict[str, Any], schema: dict[str, Any]) -> None:
    for one in (installed, schema):
        Draft202012Validator.check_schema(one)
        found = list(properties(one))
        assert len(found) > 100
        assert [path for path, value in found if not value.get("description")] == []


def test_every_reference_leads_somewhere(installed: dict[str, Any]) -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert {ref.removeprefix("#/$defs/") for ref in references(installed)} <= set(installed["$defs"])


def test_no_default_misleads_by_a_missing_unit(installed: dict[str, Any]) -> None:
    defaults = {path: value["default"] for path, value in properties(installed) if "default" in value}
    assert [path for path, value in defaults.items() if isinstance(value, (int, float)) and value > 1000] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("users: 10", "users: ${USERS:-10}"),
        ("fault: partition", "fault: partition, how: ${HOW:-reset}"),
        ("lost_acks: 0", "lost_acks: ${LOST:-0}"),
        ("lost_acks: 0", "lost_acks: { at_most: 0 }"),
        ("share: 80%", "share: 1"),
        ("baseline: 5s", "baseline: 0"),
        ("fault: kill,", "fault: kill, for: 2s,"),
        ("baseline: 5s", ""),
    ],
)
def test_what_the_loader_takes_fits(schema: dict[str, Any], load: Load, old: str, new: str) -> None:
    source = load().source
    assert old in source
    quoted = new.replace("${", "'${").replace("}", "}'") if "${HOW" in new else new
    assert errors(schema, source.replace(old, quoted)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("users: 10", "usrs: 10"),
        ("users: 10", "users: ten"),
        ("users: 10", "users: 0"),
        ("latency: 80ms", "latncy: 80ms"),
        ("latency: 80ms", "latency: 80"),
        ("fault: kill,", "fault: kil,"),
        ("for: 4s, fault: partition", "fault: partition"),
        ("fault: kill,", "for: 1s, fault: restart,"),
        ("lost_acks: 0", "lost_acks: none"),
        ("lost_acks: 0", "lost_ack: 0"),
        ("conserved: [gold]", "conserved: gold"),
        ("    far:", "    Far:"),
        ("name: world-crash", "name: null"),
        ("duration: 40s\n", ""),
        ("to: ledger", "port: main"),
    ],
)
def test_what_the_loader_refuses_does_not_fit(schema: dict[str, Any], load: Load, old: str, new: str) -> None:
    source = load().source
    assert old in source
    assert errors(schema, source.replace(old, new, 1)) != []


def test_what_inherits_may_leave_out_and_remove_but_not_misspell(schema: dict[str, Any]) -> None:
    text = "extends: ./common.yaml\nname: child\nswarm: { users: 5, cohorts: { far: null }, rate: null }\n"
    assert errors(schema, text) == []
    assert errors(schema, text + "target: { services: { world: { env: { A: null }, replicas: 3 } } }\n") == []
    assert errors(schema, text.replace("users", "usrs")) != []
    assert errors(schema, text + "timeline: [{ at: 0s }]\n") != []
    assert errors(schema, text.replace("./common.yaml", "[]")) != []
