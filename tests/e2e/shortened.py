"""Experiments of the repository cut to a quarter of a minute, and what every run that passes has to show.

A busy machine may be slow, so the limits on time are wide here; those on truth (nothing lost, nothing made, the same
state again) are never touched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.e2e.harness import Ended, Run

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ARENA = EXPERIMENTS / "arena"
REDIS = EXPERIMENTS / "redis"
NGINX = EXPERIMENTS / "http" / "hung-upstream.yaml"


def sets(*values: str) -> tuple[str, ...]:
    """Return `--set` before each value."""
    return tuple(word for value in values for word in ("--set", value))


_WIDE = sets(
    "objectives.recovery.consecutive=10",
    "objectives.recovery.hold=1s",
    "objectives.recovery.serviceable=3s",
    "objectives.recovery.steady=3s",
)
_LOAD = sets("swarm.users=40", "swarm.ramp=1s", "swarm.rate=4/s", "baseline=2s")
_ARENA = (*_LOAD, *_WIDE, *sets("objectives.latency={p95: 3s, settle: 1s}", "objectives.errors=5%"))
SHORT: dict[str, tuple[str, ...]] = {
    "world-crash": (
        *_ARENA,
        *sets("timeline[0].for=1200ms", "timeline[1].at=2500ms", "timeline[2].at=6s", "timeline[2].for=1200ms"),
        *sets("duration=9s", "objectives.rollback.settled=30s"),
    ),
    "gateway-loss": (*_ARENA, *sets("timeline[1].at=3500ms", "timeline[1].for=1s", "duration=8s")),
    "ledger-partition": (
        *_ARENA,
        *sets("timeline[0].for=1200ms", "timeline[1].at=3s", "timeline[1].for=1s", "timeline[2].at=6s", "duration=9s"),
    ),
    "slow-link": (
        *_ARENA,
        *sets("timeline[0].for=1200ms", "timeline[1].at=3s", "timeline[1].for=1500ms"),
        *sets("timeline[2].at=6s", "timeline[2].for=1200ms", "duration=9s"),
    ),
    "cut-off": (
        *_ARENA,
        *sets("timeline[0].for=2s", "timeline[1].at=6s", "timeline[1].for=2s", "duration=11s"),
    ),
    "one-way": (
        *_ARENA,
        *sets("timeline[0].for=2s", "timeline[1].at=6s", "timeline[1].for=2s", "duration=11s"),
    ),
    "slow-ledger": (*_ARENA, *sets("timeline[0].for=4s", "duration=8s", "objectives.rollback.settled=30s")),
    "leader-kill": (
        *_ARENA,
        *sets("timeline[1].at=7s", "duration=13s", "objectives.rollback.settled=30s"),
        *sets("objectives.recovery.serviceable=6s", "objectives.recovery.steady=6s"),
    ),
    "parted-worlds": (
        *_ARENA,
        *sets("timeline[0].for=4s", "timeline[1].at=2s", "duration=9s"),
        *sets("objectives.recovery.serviceable=5s", "objectives.recovery.steady=5s"),
    ),
    "split-brain": (
        *_ARENA,
        *sets("timeline[0].for=3s", "timeline[1].at=6500ms", "timeline[1].for=3s", "duration=12s"),
        *sets("objectives.recovery.serviceable=5s", "objectives.recovery.steady=5s"),
    ),
}


def passed(run: Run, ended: Ended, relay: str) -> None:
    """It says pass everywhere, with its ±, and everything that was done to the target is proved, and undone."""
    assert ended.code == 0, ended
    run.nothing_is_left()
    verdict = run.verdict()
    assert (verdict["status"], verdict["exit_code"], verdict["ended"]) == ("pass", 0, "completed")
    assert verdict["objectives"]
    for objective in verdict["objectives"]:
        assert objective["status"] == "pass", objective
        assert objective["uncertainty"] is not None, objective
        assert f"pass {objective['name']}" in " ".join(ended.out.split())
    proved(verdict)
    carried_by(run, relay)
    counted_by_junit(run)


def proved(verdict: Any) -> None:
    """Every fault was seen to act; every one that lasts was seen to be gone afterwards."""
    assert verdict["faults"]
    for fault in verdict["faults"]:
        assert fault["proved"] is True, fault
        assert fault["proof"], fault
        assert fault["healed_ns"] is not None, fault
        assert fault["heal_proved"] is (None if fault["kind"] == "kill" else True), fault


def carried_by(run: Run, relay: str) -> None:
    """The data and the page name the relay."""
    said = run.verdict()["relay"]
    assert said["kind"] == relay
    assert f"relay: {relay} {said['version']}" in (run.bundle / "report.html").read_text()


def counted_by_junit(run: Run) -> None:
    """junit.xml, read by somebody else's parser, has the same objectives with the same ends."""
    suite = ElementTree.parse(run.bundle / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    words = {"failure": "fail", "skipped": "inconclusive"}
    ends = {
        case.attrib["name"]: next((words[part.tag] for part in case if part.tag in words), "pass")
        for case in suite.iter("testcase")
    }
    objectives = run.verdict()["objectives"]
    assert ends == {objective["name"]: objective["status"] for objective in objectives}
    assert suite.attrib["failures"] == str(list(ends.values()).count("fail"))


def objectives(run: Run) -> dict[str, Any]:
    """Return the objectives of the verdict by name."""
    return {objective["name"]: objective for objective in run.verdict()["objectives"]}
