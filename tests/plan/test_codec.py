from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosctl.errors import RecordingError
from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.plan.build import build_plan
from chaosctl.plan.codec import plan_from_json, plan_to_json


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seed=st.integers(0, 2**63))
def test_a_plan_comes_back_as_it_was(
    data: st.DataObject, seed: int, experiments: st.SearchStrategy[Loaded], faults: FaultKinds
) -> None:
    plan = build_plan(data.draw(experiments), seed, faults)
    text = plan_to_json(plan)
    assert plan_from_json(text) == plan
    assert plan_to_json(plan_from_json(text)) == text


def test_the_text_has_sorted_keys_and_a_newline(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    text = plan_to_json(build_plan(loaded(), 7, faults))
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_what_a_fault_puts_into_an_environment_is_not_written_down(
    loaded: Callable[..., Loaded], faults: FaultKinds
) -> None:
    plan = build_plan(loaded(), 7, faults)
    deploy = replace(plan.faults[0], params={"version": "2", "env": {"TOKEN": "s3cret"}})
    text = plan_to_json(replace(plan, faults=(deploy,)))
    assert "s3cret" not in text
    assert plan_from_json(text).faults[0].params == {"version": "2", "env": {"TOKEN": "(not written down)"}}
    assert deploy.params["env"] == {"TOKEN": "s3cret"}


def test_unknown_fields_of_a_later_version_are_skipped(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    plan = build_plan(loaded(), 7, faults)
    data = json.loads(plan_to_json(plan))
    data["new"] = 1
    data["faults"][0]["new"] = {"x": 1}
    assert plan_from_json(json.dumps(data)) == plan


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "7"),
        ("phases", []),
        ("faults", [{"id": "f1"}]),
        ("schema_version", 99),
        ("proxies", None),
        ("seed", 1.5),
    ],
)
def test_a_field_that_makes_no_sense(
    field: str, value: object, loaded: Callable[..., Loaded], faults: FaultKinds
) -> None:
    data = json.loads(plan_to_json(build_plan(loaded(), 7, faults)))
    data[field] = value
    with pytest.raises(RecordingError, match=r"; (make it again|use a newer chaosctl)"):
        plan_from_json(json.dumps(data))


@settings(max_examples=50)
@given(st.one_of(st.text(), st.sampled_from(["", "{}", "[]", "null", '{"seed": 1}', "[" * 5000])))
def test_nonsense_is_an_error_in_words(text: str) -> None:
    with pytest.raises(RecordingError, match=r"plan\.json"):
        plan_from_json(text)
