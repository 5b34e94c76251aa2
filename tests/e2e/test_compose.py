"""Compose projects on a real engine: brought up for a run and wholly gone after it; or attached to, left as found."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.compose_project import PROJECT_LABEL
from chaosctl.safety.engine import Engine, local_engine, of_run, remove_run
from tests.e2e.engines import CHANGES, WatchedWay, all_of, bystander, containers
from tests.e2e.harness import TINY, Place, Run, one_sentence, wait_until
from tests.e2e.shortened import ARENA, SHORT, passed, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker", "compose")]

AS_COMPOSE_SAYS = sets("target.driver=compose")
# Starting a container takes the engine about a second, more on a busy machine.
SLOWER = sets(
    *("swarm.users=30", "timeline[1].at=4s", "timeline[2].at=10s", "duration=14s"),
    *("objectives.recovery.serviceable=7s", "objectives.recovery.steady=7s"),
)
TINY_FILE = TINY.parent / "compose.yaml"
ATTACHED, COMPOSED = TINY.parent / "attached.yaml", TINY.parent / "composed.yaml"
ALLOWED = ("--allow-external", "attached")
HELD = sets("timeline[0].for=50s", "duration=55s")
ON_BOTH = sets(
    "timeline=[{ at: 0s, for: 300ms, fault: partition, on: front-back },"
    " { at: 600ms, for: 300ms, fault: pause, on: back },"
    " { at: 1200ms, for: 300ms, fault: kill, on: front }]",
    *("duration=3s", "objectives={lost_acks: 0}"),
)
ASK_BACK = "import socket; socket.create_connection(('back', 7000), 5)"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return local_engine()


@pytest.fixture(scope="module")
def by_hand(place: Place) -> Iterator[str]:
    """A project that somebody has started by hand, by its name."""
    name = f"by-hand-{place.folder.name.lower().strip('_')}"
    words = ["docker", "compose", "-f", str(TINY_FILE), "-p", name]
    subprocess.run([*words, "up", "--detach", "--build"], check=True, capture_output=True, timeout=120)
    yield name
    down = [*words, "down", "--volumes", "--rmi", "all", "--timeout", "0"]
    subprocess.run(down, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def killed(place: Place, engine: Engine) -> Iterator[Run]:
    """A run to be killed; whatever a failing test leaves is removed."""
    run = place.run("killed", file=COMPOSED, TINY_PROJECT="unused")
    yield run
    run.end_for_good()
    if run.run_id:
        remove_run(engine, run.run_id, 20.0)


def of_project(engine: Engine, name: str) -> dict[str, Any]:
    """Return everything that the engine says of the project: containers, networks and volumes."""
    label = json.dumps({"label": [f"{PROJECT_LABEL}={name}"]})
    listed = {kind: engine.ask("GET", f"/{kind}", all=1, filters=label) for kind in ("containers/json", "networks")}
    boxes = [engine.ask("GET", f"/containers/{one['Id']}/json") for one in listed["containers/json"]]
    networks = [engine.ask("GET", f"/networks/{one['Id']}") for one in listed["networks"]]
    return {"boxes": boxes, "networks": networks, "volumes": engine.ask("GET", "/volumes", filters=label)["Volumes"]}


def boxes_of(engine: Engine, name: str) -> list[dict[str, Any]]:
    boxes: list[dict[str, Any]] = of_project(engine, name)["boxes"]
    return boxes


def rules_in(engine: Engine, name: str) -> list[str]:
    """Return the packet rules in the network namespaces of the project's containers."""
    paths = [one["NetworkSettings"]["SandboxKey"] for one in of_project(engine, name)["boxes"]]
    words = [["nsenter", f"--net={path}", "iptables-save", "-t", "filter"] for path in paths]
    printed = "".join(subprocess.run(one, check=True, capture_output=True, text=True).stdout for one in words)
    return [line for line in printed.splitlines() if "chaosctl" in line]


def inside(engine: Engine, run_id: str, service: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command inside a service of a run's own project."""
    container = f"chaosctl-{run_id}-{service}-1"
    return subprocess.run(["docker", "exec", container, *words], capture_output=True, text=True, check=False)


def test_killed_all_of_its_project_goes_and_nothing_else(killed: Run, by_hand: str, engine: Engine) -> None:
    run = killed
    run.wait_for("fault_proved", fault="f1-partition", proved=True)
    # The user's own address, inside, without a word to the service: it leads to the relay, which is shut.
    host = inside(engine, run.run_id, "front", "getent", "hosts", "back").stdout.split()[0]
    assert f"- back:{host}\n" in (run.bundle / "compose-override.yaml").read_text()
    assert "ConnectionRefusedError" in inside(engine, run.run_id, "front", "python3", "-c", ASK_BACK).stderr
    assert len(containers(engine, run.run_id)) == 2
    assert len(engine.ask("GET", "/volumes", filters=of_run(run.run_id))["Volumes"]) == 1
    assert len(engine.ask("GET", "/images/json", filters=of_run(run.run_id))[0]["RepoTags"]) == 1
    others = of_project(engine, by_hand)
    with bystander(engine) as other:
        run.signal(signal.SIGKILL)
        wait_until(lambda: not all_of(engine, run.run_id), "its containers and its networks are gone")
        assert other in containers(engine, "another-run")
    run.nothing_is_left(within_s=10.0)
    assert engine.ask("GET", "/volumes", filters=of_run(run.run_id))["Volumes"] in (None, [])
    assert engine.ask("GET", "/images/json", filters=of_run(run.run_id)) == []
    assert of_project(engine, by_hand) == others
    assert run.events("interrupted")[0]["by"] == "keeper"
    assert run.events("cleanup_failed") == []


def test_a_running_project_is_attached_to_cut_and_left_as_found(place: Place, by_hand: str, engine: Engine) -> None:
    before = of_project(engine, by_hand)
    run = place.run("attached", *ALLOWED, file=ATTACHED, TINY_PROJECT=by_hand)
    run.wait_for("fault_applied", fault="f1-partition")
    assert rules_in(engine, by_hand) != []
    passed(run, run.ended(), "embedded")
    assert "a connection was silent" in run.verdict()["faults"][0]["proof"]
    assert rules_in(engine, by_hand) == []
    assert of_project(engine, by_hand) == before
    assert run.events("service_exited") == []


def test_killed_while_attached_it_leaves_the_project_whole(place: Place, by_hand: str, engine: Engine) -> None:
    before = of_project(engine, by_hand)
    down = sets("timeline[0]={at: 0s, for: 50s, fault: kill, on: front}", "duration=55s")
    run = place.run("left", *ALLOWED, *down, file=ATTACHED, TINY_PROJECT=by_hand)
    run.wait_for("fault_proved", proved=True)
    assert {one["State"]["Status"] for one in of_project(engine, by_hand)["boxes"]} == {"running", "exited"}
    second = place.chaosctl("run", ATTACHED, *ALLOWED, "--out", place.folder / "second", TINY_PROJECT=by_hand)
    assert second.code == 4, second
    assert f"run {run.run_id} is acting on compose project {by_hand}" in second.err
    run.signal(signal.SIGKILL)
    wait_until(
        lambda: {one["State"]["Status"] for one in of_project(engine, by_hand)["boxes"]} == {"running"}, "it runs again"
    )
    run.nothing_is_left(within_s=10.0)
    assert [one["Id"] for one in of_project(engine, by_hand)["boxes"]] == [one["Id"] for one in before["boxes"]]


def test_attached_to_the_engine_is_asked_what_a_dry_run_says(
    place: Place, engine: Engine, by_hand: str, tmp_path: Path
) -> None:
    words = (*ON_BOTH, *ALLOWED)
    nowhere = {"TINY_PROJECT": by_hand, "DOCKER_HOST": "unix:///nonexistent"}
    dry = place.chaosctl("run", ATTACHED, *words, "--dry-run", "--json", **nowhere)
    assert dry.code == 0, dry
    lines = [call["what"] for call in dry.json if not call["what"].endswith("if it is down")]
    told = {found[0] for line in lines if (found := CHANGES.search(line)) is not None}
    services = {one["Id"]: one["Config"]["Labels"]["com.docker.compose.service"] for one in boxes_of(engine, by_hand)}
    way = WatchedWay(tmp_path / "engine.sock", engine)
    run = place.run("watched", *words, file=ATTACHED, TINY_PROJECT=by_hand, DOCKER_HOST=f"unix://{way.path}")
    ended = run.ended()
    way.cut()
    # What is asked is the same however slow the machine is, and so whatever could be proved.
    assert ended.code in (0, 6), ended
    assert len(run.events("fault_applied")) == 3, ended
    changed = filter(CHANGES.match, way.asked)
    assert {re.sub(r"[0-9a-f]{64}", lambda id: f"<{services[id[0]]}[0]>", one) for one in changed} == told


def test_without_a_container_that_somebody_has_removed_nothing_can_be_said(
    place: Place, by_hand: str, engine: Engine
) -> None:
    run = place.run("removed", *ALLOWED, *HELD, file=ATTACHED, TINY_PROJECT=by_hand)
    run.wait_for("fault_proved", proved=True)
    [back] = [one for one in of_project(engine, by_hand)["boxes"] if one["Name"].endswith("-back-1")]
    engine.ask("DELETE", f"/containers/{back['Id']}", force=1)
    ended = run.ended()
    assert ended.code == 6, ended
    assert run.verdict()["status"] == "inconclusive"
    assert "somebody else has removed the container" in ended.out
    run.nothing_is_left()
    assert rules_in(engine, by_hand) == []
    assert [one["State"]["Status"] for one in of_project(engine, by_hand)["boxes"]] == ["running"]


def test_world_crash_passes_as_compose_says(place: Place, engine: Engine) -> None:
    words = (*SHORT["world-crash"], *SLOWER, *AS_COMPOSE_SAYS)
    run = place.run("arena", *words, file=ARENA / "world-crash.yaml")
    passed(run, run.ended(150), "embedded")
    assert all_of(engine, run.run_id) == []
    override = (run.bundle / "compose-override.yaml").read_text()
    assert "extra_hosts" in override
    assert any("compose-override.yaml" in one["text"] for one in run.events("note"))
    for name in ("ledger-0", "world-0", "gateway-0", "gateway-1"):
        assert (run.bundle / "logs" / f"{name}.log").read_text().strip(), name
    assert [one["start"] for one in run.events("service_started") if one["service"] == "world"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "acts on what chaosctl did not start (the compose project no-such)"),
        (ALLOWED, 4, "there is no compose project 'no-such' to attach to"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_said(
    place: Place, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    out = ("--out", str(tmp_path / "bundle"))
    ended = place.chaosctl("run", ATTACHED, "--quiet", *words, *out, TINY_PROJECT="no-such")
    assert ended.code == code, ended
    assert said in ended.err
    if code == 2:
        one_sentence(ended, said)
