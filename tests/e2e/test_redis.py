"""A server that nobody here wrote, as it is: Redis keeps what it logs, and loses what it only takes snapshots of."""

from __future__ import annotations

import re

import pytest

from tests.e2e.harness import Ended, Place, Run
from tests.e2e.shortened import REDIS, carried_by, counted_by_junit, objectives, passed, proved, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150), pytest.mark.needs("redis", "toxiproxy")]

SHORT = (
    "--relay",
    "toxiproxy",
    *sets("baseline=2s", "duration=7s", "objectives.recovery.hold=1s", "objectives.recovery.consecutive=10"),
)


@pytest.fixture(scope="module")
def played(place: Place) -> dict[str, tuple[Run, Ended]]:
    """Both experiments side by side."""
    wide = sets("objectives.latency.p99=2s", "objectives.latency.settle=1s", "objectives.errors=5%")
    runs = {
        "append-only": place.run("append-only", *SHORT, *wide, file=REDIS / "append-only.yaml"),
        "snapshots-only": place.run("snapshots-only", *SHORT, file=REDIS / "snapshots-only.yaml"),
    }
    return {name: (run, run.ended(120)) for name, run in runs.items()}


def test_append_only_keeps_everything_and_has_its_state_again(played: dict[str, tuple[Run, Ended]]) -> None:
    run, ended = played["append-only"]
    passed(run, ended, "toxiproxy")
    found = objectives(run)
    assert found["lost_acks"]["measured"]["value"] == 0
    assert {"lost_acks", "lost_acks.phantoms", "same_digest.redis"} <= found.keys()


def test_a_backup_brings_back_what_a_kill_takes(place: Place) -> None:
    brief = sets("swarm.users=5", "baseline=1s", "duration=2s", "objectives={same_digest: {after: [kill, restore]}}")
    run = place.run("backup", *brief, file=REDIS / "backup.yaml")
    ended = run.ended()
    found = objectives(run)
    # It keeps nothing on disk by itself.
    assert found["same_digest.redis"]["status"] == "fail", ended
    assert found["same_digest.redis.restored"]["status"] == "pass", ended
    run.nothing_is_left()


def test_snapshots_only_says_how_much_is_gone_and_how_old_it_was(played: dict[str, tuple[Run, Ended]]) -> None:
    run, ended = played["snapshots-only"]
    assert ended.code == 1, ended
    run.nothing_is_left()
    found = objectives(run)
    assert {name for name, one in found.items() if one["status"] == "fail"} == {"lost_acks"}
    lost = found["lost_acks"]
    count = lost["measured"]["value"]
    assert count > 0
    assert len(lost["evidence"]) == min(count, 10)
    said = re.match(
        rf"{count} of \d+ acknowledged adds .*; the oldest was acknowledged \S+ before f1-kill", lost["why"]
    )
    assert said is not None, lost["why"]
    for shown in ((run.bundle / "report.html").read_text(), " ".join(ended.out.split())):
        assert said[0] in shown
    proved(run.verdict())
    carried_by(run, "toxiproxy")
    counted_by_junit(run)
