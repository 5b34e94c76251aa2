from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from chaosctl.experiment.loader import Loaded

Load = Callable[..., Loaded]


def shuffled(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, dict):
        keys = data.draw(st.permutations(list(value)))
        return {key: shuffled(value[key], data) for key in keys}
    return [shuffled(item, data) for item in value] if isinstance(value, list) else value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_order_of_keys_means_nothing(load: Load, tmp_path: Path, data: st.DataObject) -> None:
    original = load()
    tree = YAML(typ="safe").load(original.source)
    path = tmp_path / "shuffled.yaml"
    YAML().dump(shuffled(tree, data), path)
    assert load(path.read_text()).fingerprint == original.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latency: 80ms", "latency: 0.08s"),
        ("share: 20%", "share: 20.0 %"),
        ("lost_acks: 0", "lost_acks: { at_most: 0 }"),
        ("baseline: 5s", "baseline: 5s  # long enough"),
        ("baseline: 5s", "baseline: ${BASELINE:-5s}"),
        ("hypothesis: Players play", "hypothesis: The players play"),
        ("version: 1\n", ""),
    ],
)
def test_how_it_is_written_means_nothing(load: Load, old: str, new: str) -> None:
    original = load()
    assert old in original.source
    assert load(original.source.replace(old, new)).fingerprint == original.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latency: 80ms", "latency: 81ms"),
        ("jitter: 20ms", "jitter: 21ms"),
        ("users: 10", "users: 11"),
        ("lost_acks: 0", "lost_acks: 1"),
        ("conserved: [gold]", "conserved: [iron]"),
        ("on: world }", "on: ledger }"),
        ("duration: 40s", "duration: 41s"),
        ("[ledger, --listen", "[ledger, --listn"),
    ],
)
def test_what_it_says_means_something(load: Load, old: str, new: str) -> None:
    original = load()
    assert old in original.source
    assert load(original.source.replace(old, new)).fingerprint != original.fingerprint


def test_it_is_sixteen_hexadecimal_digits(load: Load) -> None:
    mark = load().fingerprint
    assert len(mark) == 16
    assert int(mark, 16) >= 0
