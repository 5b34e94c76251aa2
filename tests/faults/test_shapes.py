"""The shapes of a split: who still meets whom, whoever the seed puts where."""

from __future__ import annotations

from random import Random

import pytest

from chaosctl.experiment.groups import REST, lost_between
from chaosctl.experiment.places import parse_on
from chaosctl.faults.shapes import Shape, cut_off, groups_of, isolating


def meets(shape: Shape, count: int, seed: int) -> dict[int, int]:
    """Return how many others each replica still meets."""
    groups = groups_of(shape, "x", range(count), Random(seed))
    members = [[f"{n}" for text in group for n in parse_on(text).replicas or ()] for group in groups]
    lost = lost_between(members, one_way=False)
    return {n: sum((str(n), str(m)) not in lost for m in range(count) if m != n) for n in range(count)}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [4, 5, 6, 9])
def test_everybody_has_the_place_that_the_shape_means(count: int, seed: int) -> None:
    assert set(meets("ring", count, seed).values()) == {2}
    few = (count - 1) // 2
    assert sorted(meets("majority/minority", count, seed).values()) == sorted(
        [few - 1] * few + [count - few - 1] * (count - few)
    )
    bridge = sorted(meets("bridge", count, seed).values())
    assert bridge[-1] == count - 1
    assert bridge[-2] < count - 1


def test_the_seed_decides_who_stands_where() -> None:
    drawn = {groups_of("majority/minority", "x", range(5), Random(seed)) for seed in range(30)}
    assert len(drawn) == 10
    assert groups_of("ring", "x", range(5), Random(1)) == groups_of("ring", "x", range(5), Random(1))


def test_whom_isolate_names() -> None:
    def groups(who: str) -> tuple[tuple[str, ...], ...]:
        return isolating(who, "world", range(3), Random(7))

    assert groups("leader") == (("leader of world",), (REST,))
    assert groups("leader of world") == (("leader of world",), (REST,))
    assert groups("world[1]") == (("world[1]",), (REST,))
    assert {isolating("any 1 of world", "world", range(3), Random(s))[0] for s in range(20)} == {
        (f"world[{index}]",) for index in range(3)
    }


@pytest.mark.parametrize(
    ("groups", "isolate", "shape", "count"),
    [
        ((), None, "majority/minority", 2),
        ((), None, "ring", 3),
        ((), None, "bridge", 2),
        ((), "leader", None, 1),
        ((), "any 4 of x", None, 1),
        ((("x[0,1]",), (REST,)), None, None, 2),
        ((("x[0]", "y"), ("x[1]",)), None, None, 1),
        ((("x",), ("y",)), None, None, 0),
    ],
)
def test_how_many_are_cut_off(
    groups: tuple[tuple[str, ...], ...], isolate: str | None, shape: Shape | None, count: int
) -> None:
    assert cut_off(groups, isolate, shape, "x", 5) == count
