"""Replicas as containers of a real engine: started, ready in every way, ended, brought back, paused, and taken away."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.docker import DockerDriver
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Target
from chaosctl.faults.contract import Place
from chaosctl.faults.registry import faults
from chaosctl.safety.engine import Engine, local_engine, of_run
from chaosctl.safety.undo import play
from tests.deploy.conftest import Sink, wait_until
from tests.fixtures.drivers import setup

pytestmark = [pytest.mark.e2e, pytest.mark.needs("docker"), pytest.mark.timeout(90)]

BASE = "debian:bookworm-slim"
OBEDIENT = "trap 'exit 0' TERM; echo up $COLOUR $0; while :; do sleep 0.05; done"
HEALTH = f"""FROM {BASE}
HEALTHCHECK --interval=100ms --retries=1 CMD test -e /chaosctl/state/well
"""
Deploy = Callable[..., DockerDriver]


@pytest.fixture
def deploy(tmp_path: Path, sink: Sink, abort: threading.Event) -> Iterator[Deploy]:
    made: list[DockerDriver] = []

    def make(**service: Any) -> DockerDriver:
        target = Target.model_validate({"driver": "docker", "services": {"one": {"image": BASE, **service}}})
        # As hostile a path as a disk may have.
        bundle = tmp_path / "a:b,c d"
        run_id = f"test-{uuid.uuid4().hex[:8]}"
        driver = DockerDriver(setup(target, tmp_path, bundle, run_id, sink, abort))
        driver.undo()
        made.append(driver)
        driver.allocate()
        driver.up({})
        return driver

    yield make
    for driver in made:
        assert driver.down() == ()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return local_engine()


def obedient(*words: str) -> list[str]:
    return ["sh", "-c", OBEDIENT, *words]


def container_of(engine: Engine, driver: DockerDriver) -> str:
    found = engine.ask("GET", "/containers/json", all=1, filters=of_run(driver._run_id))
    assert len(found) == 1
    return str(found[0]["Id"])


def test_what_it_is_told_and_what_it_prints_and_that_nothing_of_it_stays(
    deploy: Deploy, sink: Sink, engine: Engine
) -> None:
    driver = deploy(
        run=obedient("${state} ${self.main} ${service.one.main} ${index}"),
        env={"COLOUR": "red-${index}"},
        ports=["main"],
        ready={"log": "^up", "within": "20s"},
    )
    replica = driver.process("one", 0).replica
    number = replica.ports["main"].rpartition(":")[2]
    said = replica.log_path.read_text()
    assert said == f"up red-0 /chaosctl/state 0.0.0.0:{number} one-0:{number} 0\n"
    assert driver.values("one", 0)["self.main"] == f"127.0.0.1:{number}"
    labels = engine.ask("GET", f"/containers/{container_of(engine, driver)}/json")["Config"]["Labels"]
    assert labels == {"chaosctl.run": driver._run_id, "chaosctl.service": "one", "chaosctl.replica": "0"}
    assert driver.images()["one"]["image"] == BASE
    assert driver.down() == ()
    assert (sink.of("service_exited")[0]["code"], sink.of("service_exited")[0]["expected"]) == (0, True)
    for path in ("/containers/json", "/networks"):
        assert engine.ask("GET", path, all=1, filters=of_run(driver._run_id)) == []


def test_a_command_inside_says_that_it_is_ready(deploy: Deploy, sink: Sink) -> None:
    touch = "sleep 0.3; touch /here; exec sleep 60"
    deploy(run=["sh", "-c", touch], ready={"command": ["test", "-e", "/here"], "within": "20s"}, stop_within="0s")
    assert len(sink.of("service_ready")) == 1


def test_a_health_check_says_that_it_is_ready(deploy: Deploy, sink: Sink, tmp_path: Path) -> None:
    (tmp_path / "Healthy").write_text(HEALTH)
    well = "sleep 0.3; touch ${state}/well; exec sleep 60"
    build = {"image": None, "build": {"dockerfile": "Healthy"}}
    driver = deploy(**build, run=["sh", "-c", well], ready={"health": True, "within": "20s"}, stop_within="0s")
    assert len(sink.of("service_ready")) == 1
    assert driver.images()["one"]["id"].startswith("sha256:")


def test_an_image_without_a_health_check_is_refused(deploy: Deploy) -> None:
    with pytest.raises(NotReadyError, match="has no health check; add HEALTHCHECK to it"):
        deploy(run=obedient(), ready={"health": True})


def test_one_that_ends_too_early_is_shown_with_its_last_words(deploy: Deploy) -> None:
    with pytest.raises(NotReadyError, match=r"(?s)one\[0\] ended with code 3 before it was ready.*no dragon"):
        deploy(run=["sh", "-c", "echo no dragon >&2; exit 3"], ready={"log": "up"})


def test_a_kill_is_proved_and_its_restart_policy_brings_it_back(deploy: Deploy, sink: Sink) -> None:
    driver = deploy(run=obedient(), ready={"log": "^up", "within": "20s"}, restart={"after": "50ms"})
    kill, one = faults()["kill"], driver.process("one", 0)
    place, before = Place("one", processes=(one,)), one.pid()
    applied = kill.inject("f1", place, kill.kind.params(), time.monotonic_ns)
    proof = kill.prove("f1", place, kill.kind.params(), applied)
    assert proof.proved and f"process {before} ended by SIGKILL" in proof.text, proof.text
    assert len(sink.wait_for("service_ready", 2)) == 2
    assert one.pid() not in (None, before)
    exited = sink.of("service_exited")[0]
    assert (exited["pid"], exited["signal"], exited["expected"]) == (before, "SIGKILL", True)


def test_a_pause_stops_all_of_it_until_its_undo_is_played(deploy: Deploy) -> None:
    driver = deploy(run=obedient(), ready={"log": "^up", "within": "20s"})
    pause, one = faults()["pause"], driver.process("one", 0)
    place, params = Place("one", processes=(one,)), pause.kind.params()
    undo = pause.prepare("f1", place, params)
    applied = pause.inject("f1", place, params, time.monotonic_ns)
    assert pause.prove("f1", place, params, applied).proved
    assert not pause.prove_healed("f1", place, params).proved
    for _ in range(2):  # as often as one likes
        assert [play(action).done for action in undo] == [True]
    assert pause.prove_healed("f1", place, params).proved


def test_one_that_somebody_else_removes_is_made_anew(deploy: Deploy, sink: Sink, engine: Engine) -> None:
    driver = deploy(run=obedient(), ready={"log": "^up", "within": "20s"}, restart={"after": "50ms"})
    first = container_of(engine, driver)
    engine.ask("DELETE", f"/containers/{first}", force=1)
    sink.wait_for("service_ready", 2)
    assert container_of(engine, driver) != first
    wait_until(lambda: driver.process("one", 0).pid() is not None, "it runs")


def test_one_that_somebody_else_restarts_is_followed(deploy: Deploy, sink: Sink, engine: Engine) -> None:
    driver = deploy(run=obedient(), ready={"log": "^up", "within": "20s"}, restart={"after": "50ms"})
    one, container = driver.process("one", 0), container_of(engine, driver)
    before = one.pid()
    engine.ask("POST", f"/containers/{container}/restart", t=5)
    sink.wait_for("service_started", 2)
    assert container_of(engine, driver) == container
    assert one.pid() not in (None, before)
    one.signal("SIGKILL")
    assert [event["signal"] for event in sink.wait_for("service_exited", 2)][1] == "SIGKILL"


def test_another_version_is_another_container_with_the_same_ports_and_state(
    deploy: Deploy, sink: Sink, engine: Engine
) -> None:
    keeps = "trap 'exit 0' TERM; echo $COLOUR >> /chaosctl/state/all; echo up; while :; do sleep 0.05; done"
    driver = deploy(
        run=["sh", "-c", keeps], env={"COLOUR": "red"}, ports=["main"], ready={"log": "^up", "within": "20s"}
    )
    one, first = driver.process("one", 0), container_of(engine, driver)
    one.use("2", None, {"COLOUR": "blue"}, BASE)
    one.hold_down()
    one.signal("SIGTERM")
    wait_until(lambda: one.pid() is None, "it has ended")
    one.release()
    sink.wait_for("service_ready", 2)
    assert container_of(engine, driver) != first
    standing = one.standing()
    assert (standing.version, standing.outdated, standing.image) == ("2", False, BASE)
    assert (one.replica.state_dir / "all").read_text() == "red\nblue\n"
    with pytest.raises(NotReadyError, match=r"get it with `docker pull nobody/has:this`"):
        one.use("3", None, {}, "nobody/has:this")
