"""Faults on a leader, on followers, on whom chance picks, and on a role that nobody has."""

from __future__ import annotations

import json

import pytest

from tests.e2e.harness import TINY, Place

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def test_faults_find_whom_they_mean_and_guess_nobody(place: Place) -> None:
    run = place.run("roles", file=TINY.with_name("roles.yaml"))
    ended = run.ended(60)
    assert ended.code == 6, ended
    run.nothing_is_left()
    leader, two, followers, king, follower = run.verdict()["faults"]
    assert (leader["on"], leader["asked"], leader["proved"]) == ("tiny[0]", "leader of tiny", True)
    assert leader["targets"][0].startswith("tiny[0] ")
    planned = json.loads((run.bundle / "plan.json").read_text())["faults"][1]
    assert (two["on"], two["asked"]) == (planned["on"], "any 2 of tiny")
    assert [target.split()[0] for target in two["targets"]] == [
        f"tiny[{index}]" for index in two["on"][5:-1].split(",")
    ]
    assert (followers["on"], followers["proved"]) == ("tiny[1,2]", True)
    assert king["applied_ns"] is None
    assert "no replica of tiny says that it is king (tiny[0]: leader; tiny[1]: follower;" in king["proof"]
    assert follower["applied_ns"] is None
    assert "2 replicas of tiny say that they are follower" in follower["proof"]
    assert "write 'every follower of tiny' if all of them are meant" in follower["proof"]
