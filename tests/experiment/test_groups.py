"""Who loses what between groups of replicas."""

from __future__ import annotations

import pytest

from chaosctl.experiment.groups import REST, ask_roles, lost_between, most_cut_off
from chaosctl.experiment.places import On


def test_who_shares_a_group_meets_and_nobody_else_does() -> None:
    assert lost_between([["a"], ["b", "c"]], one_way=False) == {("a", "b"), ("b", "a"), ("a", "c"), ("c", "a")}
    assert lost_between([["a", "b"], ["b", "c"]], one_way=False) == {("a", "c"), ("c", "a")}
    assert lost_between([["a", "b"], ["b"]], one_way=False) == set()


def test_one_way_only_what_the_first_group_sends_is_lost() -> None:
    assert lost_between([["a"], ["b", "c"]], one_way=True) == {("a", "b"), ("a", "c")}
    assert lost_between([["a", "b"], ["b"]], one_way=True) == {("a", "b")}


def test_a_role_is_asked_for_when_it_is_due_and_the_rest_is_no_role() -> None:
    assert ask_roles([["leader of world"], [REST]])
    assert not ask_roles([["world[0]"], [REST]])


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ([[On("x", replicas=(0,))], [On("x", replicas=(1, 2))]], 1),
        ([[On("x")], [On("y")]], 0),
        ([[On("x", replicas=(0,))], [On("x", replicas=(1,))], [On("x", replicas=(2,))]], 2),
        ([[On("y", replicas=(0, 1))], [On("y", replicas=(2,))]], 0),
    ],
)
def test_cut_off_is_who_is_outside_of_the_largest_group(groups: list[list[On]], count: int) -> None:
    assert most_cut_off(groups, "x", 3) == count
