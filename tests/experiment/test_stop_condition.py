"""Stop conditions as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosctl.experiment.stop_condition import Bound

from .conftest import GOOD, Load, Wrong


@pytest.fixture
def good() -> str:
    return GOOD


def stop_when(good: str, *conditions: str) -> str:
    return good + "stop_when:\n" + "".join(f"  - {condition}\n" for condition in conditions)


def test_each_kind_is_read_with_its_units(load: Load, good: str) -> None:
    written = (
        '{ errors: "> 50%" }',
        '{ p99: ">500ms", over: 2s }',
        '{ throughput: "< 600/m" }',
        '{ users: "< 5" }',
        '{ http: "https://example.org/healthz", unhealthy_for: 2s, every: 500ms }',
        "{ command: [./guard, --quick], every: 2s }",
    )
    conditions = load(stop_when(good, *written)).experiment.stop_when
    assert [str(condition) for condition in conditions] == [
        "errors > 50% over 5s",
        "p99 > 500ms over 2s",
        "throughput < 10/s over 5s",
        "users < 5 over 5s",
        "https://example.org/healthz unhealthy for 2s",
        "`./guard --quick` objects",
    ]
    assert [condition.bound for condition in conditions[:4]] == [
        Bound(True, 0.5),
        Bound(True, 500_000_000),
        Bound(False, 10.0),
        Bound(False, 5),
    ]
    assert (conditions[4].unhealthy_for_ns, conditions[4].every_ns) == (2_000_000_000, 500_000_000)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{ errors: 50% }", "45:15: '50%' is not a bound; write it in quotes as \"> 50%\""),
        ('{ errors: ">= 50%" }', "45:15: '>= 50%' is not a bound; write it"),
        ('{ errors: "> 0.5" }', "45:15: '0.5' is not a share; write it as 15%"),
        ('{ p99: "> 5" }', "45:12: '5' is not a duration; write it as"),
        ('{ users: "> x" }', "45:14: 'x' is not a number of users; write it as 10"),
        ('{ errors: "> 50%", over: 100ms }', "45:30: '100ms' is out of bounds; write at least 1s"),
        ('{ errors: "> 50%", every: 1s }', "45:5: 'every' does not go with errors, but with http, command; leave it"),
        ('{ errors: "> 50%", p99: "> 1s" }', "45:5: give exactly one of errors, p99,"),
        ("{ over: 1s }", "45:5: give exactly one of errors, p99,"),
        ('{ erors: "> 5%" }', "45:7: unknown key 'erors'; did you mean 'errors'?"),
        ("{ http: status/healthz }", "45:13: 'status/healthz' is not the address of a page; write it as http://"),
        ("{ command: [] }", "45:16: there are 0 items; write at least 1"),
        ("{ command: [a], folder: ./no }", "45:29: there is no folder"),
        ("never", "45:5: 'never' is not a mapping; write"),
    ],
)
def test_what_cannot_be_is_named_at_its_place_with_its_mend(
    wrong: Wrong, good: str, condition: str, expected: str
) -> None:
    (problem,) = wrong(stop_when(good, condition))
    assert problem.startswith(expected)


def test_a_command_runs_in_the_folder_of_the_file_that_names_it(load: Load, good: str, tmp_path: Path) -> None:
    (tmp_path / "common" / "guards").mkdir(parents=True)
    (tmp_path / "common" / "bots.py").touch()
    parent = stop_when(good, "{ command: [./guard] }", "{ command: [./guard], folder: guards }", '{ users: "< 1" }')
    (tmp_path / "common" / "parent.yaml").write_text(parent)
    conditions = load("extends: common/parent.yaml\n").experiment.stop_when
    assert [condition.folder for condition in conditions] == ["common", "common/guards", "."]
