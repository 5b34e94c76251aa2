from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chaosctl.recording.digests import DigestRun, Divergence, field_diff, first_divergence, read_digests
from chaosctl.recording.model import DigestLine


def run(**digests: str) -> DigestRun:
    return DigestRun("r", {int(tick[1:]): DigestLine(int(tick[1:]), digest) for tick, digest in digests.items()})


def test_where_runs_part() -> None:
    whole = run(t1="a", t2="b", t3="c")
    assert first_divergence(whole, whole) is None
    assert first_divergence(whole, run(t1="a", t2="x", t3="y")) == Divergence("digest", 2, "b", "x", after=1)
    assert first_divergence(whole, run(t1="a", t2="b")) == Divergence("length", 3, "c", None)
    assert first_divergence(run(t1="a", t2="b"), whole) == Divergence("length", 3, None, "c")
    assert first_divergence(whole, run(t1="a", t3="c")) == Divergence("gap", 2, "b", None)
    assert first_divergence(whole, run(t1="a", t3="x")) == Divergence("digest", 3, "c", "x", after=1)
    assert first_divergence(run(), whole) == Divergence("length", 1, None, "a")


def test_parts_that_differ_are_named() -> None:
    left = DigestRun("l", {1: DigestLine(1, "a", {"gold": "1", "bots": "2", "old": "3"})})
    right = DigestRun("r", {1: DigestLine(1, "b", {"gold": "1", "bots": "9", "new": "3"})})
    found = first_divergence(left, right)
    assert found is not None and found.parts == ("bots", "new", "old")


def test_reading_counts_what_is_given_twice_and_what_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    lines: list[Any] = [{"tick": 2, "digest": "b"}, {"tick": 1, "digest": "a"}, {"tick": 2, "digest": "b"}]
    lines += [{"tick": 2, "digest": "z"}, {"tick": True, "digest": "a"}, {"tick": 3}, [], {"tick": 4, "digest": 5}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '\n{"tick": 9, "dig')
    read = read_digests(path, "live")
    assert read.ticks == (1, 2, 4)
    assert (read.lines[2].digest, read.lines[4].digest) == ("z", "5")
    assert (read.rewritten, read.changed, read.corrupt) == (2, 1, 4)


def test_a_difference_is_named_by_its_path() -> None:
    left = {"now": 1, "bots": [{"gold": 1}, {"gold": 2}], "same": {"x": None}}
    right = {"now": 1.0, "bots": [{"gold": 1}, {"gold": 3}, {}], "same": {"x": None}, "new": False}
    assert field_diff(left, right) == (
        ("bots[1].gold", 2, 3),
        ("bots[2]", "(absent)", {}),
        ("new", "(absent)", False),
        ("now", 1, 1.0),
    )
    assert field_diff(1, 2) == (("(the whole state)", 1, 2),)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, json_values)
def test_states_differ_in_a_field_exactly_when_their_json_differs(left: Any, right: Any) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (field_diff(left, right) == ()) == same
