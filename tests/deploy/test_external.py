"""Services that are not ours: they are found, waited for and left alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.external import ExternalDriver
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Target
from chaosctl.faults.contract import ProcessControl
from chaosctl.safety.ports import reserve_ports
from tests.fixtures.drivers import setup

from .conftest import Sink

Make = Callable[..., ExternalDriver]


@pytest.fixture
def make(tmp_path: Path, sink: Sink, abort: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made: list[ExternalDriver] = []

    def driver(services: dict[str, Any], run_id: str = "run-1") -> ExternalDriver:
        target = Target.model_validate({"driver": "external", "services": services})
        made.append(ExternalDriver(setup(target, tmp_path, tmp_path / run_id, run_id, sink, abort)))
        return made[-1]

    yield driver
    for one in made:
        assert one.down() == ()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def address(listening: socket.socket) -> str:
    return f"127.0.0.1:{listening.getsockname()[1]}"


def test_addresses_are_those_of_the_file_and_fill_placeholders_in(make: Make) -> None:
    gateways = {"addresses": {"main": ["10.0.0.1:7000", "10.0.0.2:7000"], "status": ["10.0.0.1:80", "10.0.0.2:80"]}}
    driver = make({"gateway": gateways, "world": {"addresses": {"main": "world.example:9"}}})
    replicas = driver.allocate()
    assert [(one.name, dict(one.ports)) for one in replicas] == [
        ("gateway[0]", {"main": "10.0.0.1:7000", "status": "10.0.0.1:80"}),
        ("gateway[1]", {"main": "10.0.0.2:7000", "status": "10.0.0.2:80"}),
        ("world[0]", {"main": "world.example:9"}),
    ]
    values = driver.values("gateway", 1)
    assert (values["self.main"], values["self.status.port"], values["index"]) == ("10.0.0.2:7000", "80", "1")
    assert values["service.gateway.main"] == "10.0.0.1:7000,10.0.0.2:7000"
    assert (driver.undo(), driver.images()) == ((), {})


def test_it_waits_until_it_is_ready(make: Make, sink: Sink, server: socket.socket) -> None:
    driver = make({"world": {"addresses": {"main": address(server)}, "ready": {"tcp": "main", "within": "5s"}}})
    driver.up({})
    assert sink.of("service_ready") == [{"event": "service_ready", "service": "world", "replica": 0}]


def test_what_is_not_there_is_said_with_the_mend(make: Make) -> None:
    ports = reserve_ports(1)
    there = f"127.0.0.1:{ports.numbers[0]}"
    driver = make({"world": {"addresses": {"main": there}, "ready": {"tcp": "main", "within": "100ms"}}})
    with pytest.raises(NotReadyError, match=r"world\[0\] was not ready within 0\.1 s; .*; start it, mend its `addr"):
        driver.up({})
    ports.release()


def test_no_second_run_acts_on_it(make: Make) -> None:
    services = {"world": {"addresses": {"main": "10.0.0.1:7000"}}}
    first = make(services)
    first.allocate()
    with pytest.raises(NotReadyError, match=r"run run-1 is acting on 10\.0\.0\.1:7000"):
        make(services, "run-2").allocate()
    first.down()
    make(services, "run-3").allocate()


def test_nothing_can_be_done_to_its_processes(make: Make) -> None:
    driver = make({"world": {"addresses": {"main": "10.0.0.1:7000"}}})
    driver.allocate()
    process: ProcessControl = driver.process("world", 0)
    doings: list[Callable[[], None]] = [process.freeze, process.hold_down, process.crash]
    doings += [lambda: process.signal("SIGKILL"), lambda: process.use("2", None, {})]
    for do in doings:
        with pytest.raises(NotReadyError, match=r"world\[0\] was not started by chaosctl, so .*`fault: command`"):
            do()
    assert (process.pid(), process.frozen(), process.thawing(), process.container()) == (None, False, (), None)
    with pytest.raises(NotReadyError, match=r"there is no world\[1\]; there are: world\[0\]"):
        driver.process("world", 1)
