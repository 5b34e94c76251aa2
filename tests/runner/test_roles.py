"""Who has a role, by the answers of the replicas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.errors import NotReadyError
from chaosctl.experiment.places import On
from chaosctl.runner.roles import RoleAnswer, having_role, in_words, leader_or_first, role_in

LEADER, FOLLOWER, SILENT = RoleAnswer("leader"), RoleAnswer("follower"), RoleAnswer(None, "TimeoutError: timed out")
ONE = On("world", role="leader")
EVERY = On("world", role="leader", every=True)


def test_the_one_that_says_so_is_it_also_when_others_are_silent() -> None:
    assert having_role(ONE, {0: FOLLOWER, 1: LEADER, 2: SILENT}) == (1,)


def test_the_log_that_counts_is_the_leaders_or_the_first() -> None:
    assert leader_or_first({0: FOLLOWER, 1: LEADER}) == 1
    assert leader_or_first({0: SILENT, 1: FOLLOWER}) == 0


def test_nobody_is_not_guessed() -> None:
    with pytest.raises(NotReadyError, match="no replica of world says that it is leader") as caught:
        having_role(ONE, {0: FOLLOWER, 1: SILENT})
    assert "world[0]: follower; world[1]: no role (TimeoutError: timed out)" in str(caught.value)


def test_more_than_one_is_not_guessed_unless_every_one_is_meant() -> None:
    two = {0: LEADER, 1: LEADER, 2: FOLLOWER}
    with pytest.raises(NotReadyError, match="2 replicas of world say that they are leader"):
        having_role(ONE, two)
    assert having_role(EVERY, two) == (0, 1)


@given(st.dictionaries(st.integers(0, 9), st.sampled_from([LEADER, FOLLOWER, SILENT]), min_size=1))
def test_whoever_is_struck_has_said_that_it_has_the_role(answers: dict[int, RoleAnswer]) -> None:
    leaders = [index for index, answer in answers.items() if answer == LEADER]
    for on in (ONE, EVERY):
        if not leaders or (len(leaders) > 1 and not on.every):
            with pytest.raises(NotReadyError):
                having_role(on, answers)
        else:
            assert set(having_role(on, answers)) == set(leaders)


@pytest.mark.parametrize(
    "text", [b"[]", b"{}", b'"leader"', b'{"role": null}', b'{"role": 1}', b'{"role": ""}', b'{"ROLE": "leader"}']
)
def test_a_status_without_a_role_says_none(text: bytes) -> None:
    answer = role_in(text)
    assert answer.role is None
    assert answer.why.startswith("its status names no role: ")


def test_a_status_is_json() -> None:
    assert role_in(b'{"role": "leader", "tick": 7}') == LEADER
    with pytest.raises(ValueError, match="Expecting value"):
        role_in(b"leader")
    assert in_words("world", {1: LEADER}) == {"world[1]": "leader"}
