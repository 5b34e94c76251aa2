"""What a dry run says is what a run then does: the same faults on the same targets, undone by the same actions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chaosctl.safety.engine import local_engine
from tests.e2e.engines import CHANGES, WatchedWay
from tests.e2e.harness import TINY, Place, Run
from tests.e2e.shortened import sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TIMELINE = (
    "timeline=[{ at: 0s, for: 900ms, fault: latency, on: bots-tiny, latency: 60ms },"
    " { at: 200ms, for: 600ms, fault: partition, on: bots-tiny, mode: blackhole },"
    " { at: 1s, for: 300ms, fault: pause, on: tiny },"
    " { at: 1500ms, fault: kill, on: tiny }]"
)
SETS = ("--set", TIMELINE, "--set", "duration=2500ms", "--set", "objectives={lost_acks: 0}")


def undone(run: Run) -> dict[str, list[str]]:
    """Return what the journal of a run says undoes each fault, with the words of a dry run."""
    api_url, pids = run.events("relay")[0]["api_url"], {}
    for started in run.events("service_started"):
        pids[started["pid"]] = f"{started['service']}[{started['replica']}]"
    found: dict[str, list[str]] = {}
    for line in (run.bundle / "undo.jsonl").read_text().splitlines():
        if "actions" in (entry := json.loads(line)):
            found[entry["fault"]] = [words(action, pids) for action in entry["actions"]]
    text = json.dumps(found).replace(api_url, "http://<relay>").replace(f"chaosctl.{run.run_id}.", "chaosctl.RUN.")
    again: dict[str, list[str]] = json.loads(text)
    return again


def words(action: dict[str, Any], pids: dict[int, str]) -> str:
    if action["do"] == "signal":
        return f"{action['signal']} to {pids[action['pid']]}"
    body = "" if action["body"] is None else f" {json.dumps(action['body'])}"
    return f"{action['method']} {action['url']}{body}"


def test_it_says_what_a_run_then_does(place: Place) -> None:
    dry = place.chaosctl("run", TINY, *SETS, "--dry-run", "--json", "--out", place.folder / "none")
    assert dry.code == 0, dry
    assert not (place.folder / "none").exists(), "nothing was started"
    calls = dry.json
    run = place.run("real", *SETS)
    assert run.ended().code == 0
    by_fault = {call["by"]: call["undo"] for call in reversed(calls) if call["stage"] == "load"}
    undo = undone(run)
    assert undo.pop("links") == [undo for call in calls if call["by"] == "relay" for undo in call["undo"]]
    faults = ["f1-latency", "f2-partition", "f3-pause", "f4-kill"]
    assert undo == {fault: by_fault[fault] for fault in faults}
    assert [event["fault"] for event in run.events("fault_applied")] == faults
    first = [call["by"] for call in calls if call["by"] in faults]
    assert list(dict.fromkeys(first)) == faults
    assert [event["fault"] for event in run.events("fault_healed")] == list(
        dict.fromkeys(call["by"].removesuffix(" heals") for call in calls if call["by"].endswith("heals"))
    )
    (killed,) = [event for event in run.events("service_exited") if event["signal"] == "SIGKILL"]
    assert f"{killed['service']}[{killed['replica']}]" in by_call(calls, "f4-kill")[0]
    assert len(run.events("service_started")) == 2, "its restart policy brought it back"
    assert "its restart policy" in by_call(calls, "f4-kill")[1]


ON_CONTAINERS = (
    "timeline=[{ at: 0s, for: 300ms, fault: pause, on: tiny },"
    " { at: 500ms, for: 300ms, fault: cpu, on: tiny, cores: 0.5 },"
    " { at: 1s, for: 300ms, fault: disconnect, on: tiny },"
    " { at: 1500ms, fault: kill, on: tiny },"
    " { at: 3500ms, for: 300ms, fault: kill, on: tiny }]"
)
# The main process of a container that does not say so minds no SIGTERM.
IN_CONTAINERS = sets(
    *("target.driver=docker", "target.services.tiny.stop_within=500ms", "objectives={lost_acks: 0}"),
    *("duration=4500ms", ON_CONTAINERS),
)


@pytest.mark.needs("docker")
def test_it_says_what_the_engine_is_then_asked(place: Place, tmp_path: Path) -> None:
    """The engine's own ids are told apart by what they are of: there is one container, and one network."""
    dry = place.chaosctl("run", TINY, *IN_CONTAINERS, "--dry-run", "--json", DOCKER_HOST="unix:///nonexistent")
    assert dry.code == 0, dry
    told = {found[0] for call in dry.json if (found := CHANGES.search(call["what"])) is not None}
    way = WatchedWay(tmp_path / "engine.sock", local_engine())
    run = place.run("watched", *IN_CONTAINERS, DOCKER_HOST=f"unix://{way.path}")
    ended = run.ended()
    way.cut()
    # What is asked is the same however slow the machine is, and so whatever could be proved.
    assert ended.code in (0, 6), ended
    assert len(run.events("fault_applied")) == 5, ended
    named = (re.sub(r"/containers/[0-9a-f]{64}", "/containers/<tiny[0]>", one) for one in way.asked)
    named = (re.sub(r"/networks/[0-9a-f]{64}", "/networks/chaosctl-RUN", one) for one in named)
    asked = {one.replace(run.run_id, "RUN") for one in named if CHANGES.match(one)}
    assert asked == told


def by_call(calls: list[dict[str, Any]], by: str) -> list[str]:
    return [call["what"] for call in calls if call["by"] == by]


def test_it_is_for_one_run(place: Place) -> None:
    refused = place.chaosctl("run", TINY, "--dry-run", "--trials", "3")
    assert (refused.code, refused.err) == (2, "--dry-run shows one run; leave --trials out\n")
