"""A compose file brought up by compose itself: led as any deployment, its restart policies honoured, all taken away."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.compose import OVERRIDE, ComposeDriver
from chaosctl.deploy.compose_program import find_compose
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Target
from chaosctl.safety.engine import Engine, local_engine, of_run
from tests.deploy.conftest import Sink
from tests.fixtures.drivers import setup

pytestmark = [pytest.mark.e2e, pytest.mark.needs("docker", "compose"), pytest.mark.timeout(90)]

OBEDIENT = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
ONE = f"""services:
  one:
    image: debian:bookworm-slim
    command: [sh, -c, "{OBEDIENT}"]
    stop_grace_period: 1s
"""
Deploy = Callable[..., ComposeDriver]


@pytest.fixture
def make(tmp_path: Path, sink: Sink, abort: threading.Event) -> Iterator[Deploy]:
    made: list[ComposeDriver] = []

    def driver(text: str, **service: Any) -> ComposeDriver:
        # As hostile a path as a disk may have.
        folder, bundle = tmp_path / "$HOME a'b", tmp_path / "c: ${d} 'e"
        folder.mkdir()
        (folder / "compose.yaml").write_text(text)
        services = {"one": service}
        target = Target.model_validate({"driver": "compose", "compose": {"file": "compose.yaml"}, "services": services})
        run_id = f"test-{uuid.uuid4().hex[:8]}"
        made.append(ComposeDriver(setup(target, folder, bundle, run_id, sink, abort)))
        made[-1].undo()
        return made[-1]

    yield driver
    for one in made:
        assert one.down() == ()
        assert all_of(local_engine(), one._run_id) == []


def up(driver: ComposeDriver) -> ComposeDriver:
    driver.allocate()
    driver.up({})
    return driver


def all_of(engine: Engine, run_id: str) -> list[Any]:
    wanted = of_run(run_id)
    found = [
        one for path in ("/containers/json", "/networks") for one in engine.ask("GET", path, all=1, filters=wanted)
    ]
    return found + (engine.ask("GET", "/volumes", filters=wanted)["Volumes"] or [])


def test_what_the_file_says_runs_with_what_the_run_adds(make: Deploy, sink: Sink) -> None:
    text = ONE + "    volumes: ['kept:/kept']\nvolumes: { kept: {} }\n"
    driver = up(make(text, state="/state", container_ports={"main": 7000}, replicas=1, ready={"log": "^up"}))
    place = driver.process("one", 0).replica
    box = driver.process("one", 0).container()
    assert box is not None
    said = box.inspect()
    published = said["NetworkSettings"]["Ports"]["7000/tcp"]
    assert [f"{one['HostIp']}:{one['HostPort']}" for one in published] == [place.ports["main"]]
    assert {"/state", "/kept"} == {one["Destination"] for one in said["Mounts"]}
    assert place.log_path.read_text() == "up\n"
    assert (place.log_path.parents[1] / OVERRIDE).is_file()
    assert driver.images()["one"]["image"] == "debian:bookworm-slim"
    assert len(all_of(local_engine(), driver._run_id)) == 3
    assert driver.down() == ()
    assert (sink.of("service_exited")[0]["code"], sink.of("service_exited")[0]["expected"]) == (0, True)


def test_the_files_own_policy_brings_it_back_unless_it_is_held_down(make: Deploy, sink: Sink) -> None:
    replica = up(make(ONE + "    restart: always\n", ready={"log": "^up", "within": "20s"})).process("one", 0)
    for number, kill in enumerate((replica.crash, lambda: replica.signal("SIGKILL")), 2):
        before = replica.pid()
        assert before is not None
        kill()
        ended = replica.exit_of(before, 10.0)
        assert ended is not None
        assert ended.signal == "SIGKILL"
        sink.wait_for("service_ready", number)
        assert replica.pid() not in (before, None)
    before = replica.pid()
    assert before is not None
    replica.hold_down()
    replica.signal("SIGKILL")
    assert replica.exit_of(before, 10.0) is not None
    assert len(sink.of("service_started")) == 3
    replica.release()
    assert replica.pid() not in (before, None)
    sink.wait_for("service_ready", 4)
    assert replica.replica.log_path.read_text() == "up\n" * 4
    assert {one["expected"] for one in sink.of("service_exited")} == {True}


def test_a_policy_of_the_experiment_takes_its_place(make: Deploy, sink: Sink) -> None:
    driver = up(make(ONE + "    restart: always\n", restart={"after": "10ms"}))
    box = driver.process("one", 0).container()
    assert box is not None
    assert box.inspect()["HostConfig"]["RestartPolicy"]["Name"] == "no"
    driver.process("one", 0).crash()
    sink.wait_for("service_ready", 2)


def test_replicas_are_where_they_are_said_to_be(make: Deploy) -> None:
    driver = up(make(ONE, replicas=2, container_ports={"main": 7000}))
    for index in range(2):
        box = driver.process("one", index).container()
        assert box is not None
        [bound] = box.inspect()["NetworkSettings"]["Ports"]["7000/tcp"]
        assert driver.process("one", index).replica.ports["main"] == f"127.0.0.1:{bound['HostPort']}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: { one: { imag: x } }", "additional properties 'imag' not allowed"),
        ("services:\n  one: [\n", "yaml: line"),
        ("services: { two: { image: x } }", "has no service 'one'; it has: two"),
        ("services: { one: { image: 'no.such/image:1' } }", "no image 'no.such/image:1'; get it with"),
        ("services: { one: { image: '${NO_SUCH:?say which}' } }", "say which"),
        (ONE + "    healthcheck: { test: 'echo no dragon; exit 1', interval: 200ms, retries: 1 }\n", "no dragon"),
        (ONE.replace(OBEDIENT, "echo no dragon; exit 3"), "ended with code 3"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(make: Deploy, text: str, said: str) -> None:
    ready = {"health": True, "within": "2s"} if "healthcheck" in text else None
    with pytest.raises(NotReadyError, match=said.replace("'", ".")):
        up(make(text, ready=ready))


def test_without_compose_the_mend_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"Docker Compose is not here: .* install the plugin"):
        find_compose({"PATH": str(tmp_path)})
