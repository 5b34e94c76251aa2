"""A timeline that deploys another version: its command is completed later, and a rollback has something to follow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.errors import ExperimentError
from chaosctl.experiment.loader import Loaded, load_experiment
from chaosctl.faults.registry import fault_kinds

from .conftest import GOOD, OBJECTIVES

Load = Callable[[str], Loaded]
ITEM = "  - { at: 12s, fault: kill, on: world }\n"
DEPLOY = '{ at: 12s, fault: deploy, on: world, version: 2, run: [world2, "${self.main}", --data, "${state}"] }'


@pytest.fixture
def load(tmp_path: Path) -> Load:
    (tmp_path / "bots.py").write_text("")

    def load(*items: str) -> Loaded:
        path = tmp_path / "experiment.yaml"
        path.write_text(GOOD.replace(ITEM, "".join(f"  - {item}\n" for item in items)))
        return load_experiment(path, fault_kinds(), OBJECTIVES, environ={"RELEASE": "2"})

    return load


def test_the_command_of_another_version_is_completed_when_the_deployment_is_up(load: Load) -> None:
    params = load(DEPLOY, "{ at: 20s, fault: rollback, on: world }").fault_params[1].model_dump()
    assert params["run"] == ("world2", "${self.main}", "--data", "${state}")
    assert params["version"] == "2"


def test_upper_case_names_are_filled_in_at_once(load: Load) -> None:
    env = 'env: { RELEASE: "${RELEASE}", DATA: "${state}" }'
    params = load(f"{{ at: 12s, for: 3s, fault: deploy, on: 'gateway[1]', {env} }}").fault_params[1].model_dump()
    assert params["env"] == {"RELEASE": "2", "DATA": "${state}"}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((DEPLOY.replace("self.main", "self.mian"),), "there is no port 'mian'; did you mean 'main'?"),
        ((DEPLOY.replace("state", "stat"),), "'${stat}' is not known; did you mean 'state'?"),
        (("{ at: 12s, fault: rollback, on: world }",), "there is no deploy on 'world' before this rollback; add one"),
        ((DEPLOY, "{ at: 20s, fault: rollback, on: ledger }"), "there is no deploy on 'ledger' before this rollback"),
        ((DEPLOY, "{ at: 10s, fault: rollback, on: world }"), "there is no deploy on 'world' before this rollback"),
        (
            (DEPLOY.replace("12s", "12s, for: 3s"), "{ at: 20s, fault: rollback, on: world }"),
            "timeline[1] (deploy on 'world') ends by itself, after its `for`; leave out its `for`, or this rollback",
        ),
        (
            (DEPLOY.replace("12s", "12s, for: 3s"), "{ at: 13s, fault: rollback, on: world }"),
            "timeline[1] (deploy on 'world') ends by itself, after its `for`; leave out its `for`, or this rollback",
        ),
        ((DEPLOY.replace("12s", "12s, for: 3s"), "{ at: 13s, fault: kill, on: world }"), "acts while timeline[1]"),
    ],
)
def test_what_cannot_be(load: Load, items: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ExperimentError) as raised:
        load(*items)
    assert len(raised.value.problems) == 1, raised.value.problems
    assert expected in raised.value.problems[0].text
