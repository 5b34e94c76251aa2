from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.experiment.model import Link
from chaosctl.experiment.places import On, bots_link, parse_on

PLACES = st.builds(On, st.sampled_from("xy"), st.none() | st.sampled_from(["near", "far"])) | st.builds(
    On, st.sampled_from("xy"), st.none(), st.none() | st.integers(0, 2)
)


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("x", On("x")),
        ("x/far", On("x", cohort="far")),
        ("x[0]", On("x", replica=0)),
        ("a-b[12]", On("a-b", replica=12)),
    ],
)
def test_places_are_read(text: str, on: On) -> None:
    assert parse_on(text) == on


@pytest.mark.parametrize("text", ["", "x/", "/x", "x[a]", "x[", "x[0]/far", "x/far[0]", "x[-1]"])
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
    assert not On("x", replica=0).overlaps(On("x", replica=1))


def test_the_bots_use_the_link_that_starts_at_them() -> None:
    links = {"a": Link(to="x"), "b": Link(from_service="x", to="y")}
    assert bots_link(links, None) == bots_link(links, "a") == "a"
    for other, through in ((links, "b"), (links | {"c": Link(to="y")}, None), ({}, None)):
        with pytest.raises(ValueError, match="the bots' link is not clear"):
            bots_link(other, through)
