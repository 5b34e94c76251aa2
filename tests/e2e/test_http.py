"""Nginx and an ordinary locustfile: while one upstream hangs, those who use the other one notice nothing."""

from __future__ import annotations

import pytest

from tests.e2e.harness import Place
from tests.e2e.shortened import NGINX, objectives, passed, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150), pytest.mark.needs("nginx", "toxiproxy")]


def test_the_users_of_the_healthy_upstream_keep_their_p99(place: Place) -> None:
    """Cut to what 1000 visits of `/a`, which a p99 takes, need."""
    short = sets(
        *("swarm.users=28", "baseline=2s", "timeline[0].for=6s", "duration=11s"),
        *("objectives.recovery.hold=1s", "objectives.recovery.consecutive=10", "objectives.latency.p99=1s"),
    )
    run = place.run("hung", "--relay", "toxiproxy", *short, file=NGINX)
    passed(run, run.ended(120), "toxiproxy")
    p99 = objectives(run)["latency.p99"]
    assert "/a" in p99["why"]
    hung_ns = 1e9  # nginx gives an upstream up after a second: whoever waited for the hung one waited that long
    assert 0 < p99["measured"]["value"] < hung_ns
    (fault,) = run.verdict()["faults"]
    assert (fault["kind"], fault["on"]) == ("pause", "upstream-b")
