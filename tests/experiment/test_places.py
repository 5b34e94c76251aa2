from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.model import Link
from chaosctl.experiment.places import On, bots_link, parse_on, replicas_text

PLACES = st.builds(On, st.sampled_from("xy"), st.none() | st.sampled_from(["near", "far"])) | st.builds(
    On, st.sampled_from("xy"), st.none(), st.none() | st.frozensets(st.integers(0, 2), min_size=1).map(tuple)
)


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("x", On("x")),
        ("x/far", On("x", cohort="far")),
        ("x[0]", On("x", replicas=(0,))),
        ("a-b[12]", On("a-b", replicas=(12,))),
        ("x[2,0, 2]", On("x", replicas=(0, 2))),
        ("leader of a-b", On("a-b", role="leader")),
        ("every  primary of x", On("x", role="primary", every=True)),
        ("any 2 of x", On("x", count=2)),
        ("30% of x", On("x", share=0.3)),
        (" 7.5 % of a-b ", On("a-b", share=0.075)),
    ],
)
def test_places_are_read(text: str, on: On) -> None:
    assert parse_on(text) == on


@pytest.mark.parametrize(
    "text",
    [
        *("", "x/", "/x", "x[a]", "x[", "x[0]/far", "x/far[0]", "x[-1]", "x[0,]"),
        *("any of x", "every of x", "any two of x", "all of x", "leader of x[0]", "any 2 of x/far", "leader of x y"),
    ],
)
def test_what_names_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="names no place; write a link"):
        parse_on(text)


@given(PLACES, PLACES)
def test_overlapping_is_mutual_and_a_part_overlaps_its_whole(one: On, other: On) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(one)
    assert one.overlaps(On(one.name))
    if one.name != other.name:
        assert not one.overlaps(other)


def test_parts_of_one_place_do_not_overlap() -> None:
    assert not On("x", cohort="near").overlaps(On("x", cohort="far"))
    assert not On("x", replicas=(0,)).overlaps(On("x", replicas=(1, 2)))


@pytest.mark.parametrize(("text", "why"), [
    ("any 0 of x", "'any 0 of x' is nobody; write at least 'any 1 of x'"),
    ("0% of x", "'0% of x' is nobody"),
    ("120% of x", "'120%' is more than the whole; write at most 100%"),
])  # fmt: skip
def test_chances_that_cannot_be(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_on(text)


@pytest.mark.parametrize(("text", "of", "replicas"), [
    ("x", 3, 3), ("x[0,2]", 3, 2), ("leader of x", 3, 1), ("every leader of x", 3, 3), ("any 2 of x", 3, 2),
    ("30% of x", 1, 1), ("30% of x", 4, 1), ("30% of x", 7, 2), ("30% of x", 10, 3), ("29% of x", 100, 29),
    ("50% of x", 3, 1), ("100% of x", 3, 3),
])  # fmt: skip
def test_on_how_many_replicas_a_place_means_at_most(text: str, of: int, replicas: int) -> None:
    assert parse_on(text).at_most(of) == replicas


@given(st.floats(0.0001, 1), st.integers(1, 100))
def test_a_share_is_never_exceeded_but_for_one_replica(share: float, replicas: int) -> None:
    count = On("x", share=share).at_most(replicas)
    assert 1 <= count <= max(1, share * replicas + 1e-6)
    assert count > share * replicas - 1


@given(st.frozensets(st.integers(0, 99), min_size=1))
def test_what_is_written_for_replicas_is_read_again(replicas: frozenset[int]) -> None:
    assert parse_on(replicas_text("x", replicas)) == On("x", replicas=tuple(sorted(replicas)))


def test_chance_and_roles_may_turn_out_to_be_anything() -> None:
    for text in ("leader of x", "any 1 of x", "30% of x"):
        assert parse_on(text).overlaps(On("x", replicas=(1,)))
        assert not parse_on(text).overlaps(On("y"))


def test_the_bots_use_the_link_that_starts_at_them() -> None:
    links = {"a": Link(to="x"), "b": Link(from_service="x", to="y")}
    assert bots_link(links, None) == bots_link(links, "a") == "a"
    for other, through in ((links, "b"), (links | {"c": Link(to="y")}, None), ({}, None)):
        with pytest.raises(ValueError, match="the bots' link is not clear"):
            bots_link(other, through)
