from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaosctl.experiment.kinds import FaultKinds
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.units import parse_duration_ns
from chaosctl.plan.build import build_plan
from chaosctl.plan.excerpt import _value as value
from chaosctl.plan.excerpt import exact, excerpt


def read(text: str) -> Any:
    return YAML(typ="safe").load(StringIO(text))


@given(st.integers(0, 10**14))
def test_a_duration_is_read_as_what_it_was(duration_ns: int) -> None:
    assert parse_duration_ns(exact(duration_ns)) == duration_ns


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20) | st.sampled_from(
    ["true", "null", "~", "- a", "a: b", "a #b", "1", "1.5", "0x1f", "1e3", "*a", "&a", "${X:-1}", "any 1 of x", "x[0]"]
)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda key: key not in ("<<", "=")), inner)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_whatever_is_written_is_read_again(written: Any) -> None:
    assert read(f"- {value(written)}") == [written]


@pytest.mark.parametrize(("written", "text"), [
    ("any 1 of gateway", "any 1 of gateway"), ("80ms", "80ms"), ("gateway[1]", '"gateway[1]"'), ("true", '"true"'),
    ({"on": "world", "to": ["a", 1]}, "{ on: world, to: [a, 1] }"),
])  # fmt: skip
def test_it_reads_well(written: Any, text: str) -> None:
    assert value(written) == text


def test_an_excerpt_has_the_faults_of_the_plan_where_and_when_it_has_them(
    loaded: Callable[..., Loaded], faults: FaultKinds
) -> None:
    plan = build_plan(loaded(), 7, faults)
    written = {
        "timeline[0]": {"at": "9s", "fault": "latency", "on": "any", "latency": "${DELAY:-80ms}"},
        "timeline[1]": {"at": "9s", "every": "1s", "fault": "kill", "on": "any"},
    }
    made = excerpt(plan, "../x.yaml", "less", written, ["Two lines", "for people."])
    assert made.startswith('# Two lines\n# for people.\nextends: "../x.yaml"\nname: less\n')
    assert read(made) == {
        "extends": "../x.yaml",
        "name": "less",
        "chaos": None,
        "timeline": [
            {"at": "0s", "for": "6s", "fault": "latency", "on": "gateway-world", "latency": "${DELAY:-80ms}"},
            {"at": "12s", "fault": "kill", "on": "world"},
        ],
    }
    assert "${DELAY:-80ms}" in made, "what the environment fills in is a secret perhaps"


def test_an_excerpt_without_faults_is_an_empty_timeline(loaded: Callable[..., Loaded], faults: FaultKinds) -> None:
    assert read(excerpt(build_plan(loaded(items=()), 7, faults), "x.yaml", "less", {}, []))["timeline"] == []
