"""The probe as a process: on its grid, by route, and everything recorded."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chaosctl.experiment.model import Hello
from chaosctl.probe.config import ProbeConfig, TotalsSource
from chaosctl.probe.launcher import ProbeProcess

pytestmark = pytest.mark.e2e
EVERY_NS = 20_000_000


def until(condition: Callable[[], Any], within_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "did not come in time"
        time.sleep(0.02)


@pytest.fixture
def ponger() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    connection.sendall(b"PONG\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def rows(bundle: Path, route: str) -> list[dict[str, Any]]:
    with pa.ipc.open_stream(bundle / "samples" / f"probe-{route}.arrow") as stream:
        assert stream.schema.metadata[b"open_loop"] == b"true"
        return stream.read_all().to_pylist()


def test_a_run_of_the_probe(tmp_path: Path, ponger: str) -> None:
    (tmp_path / "samples").mkdir()
    heard: list[Mapping[str, Any]] = []
    with socket.create_server(("127.0.0.1", 0), backlog=512) as mute:
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        config = ProbeConfig(
            run_id="r",
            bundle=str(tmp_path),
            origin_monotonic_ns=time.monotonic_ns(),
            service="gateway",
            hello=Hello(send="PING\n", expect="PONG"),
            routes={"relay": (ponger, silent, closed_port()), "direct": (ponger,)},
            every_ns=EVERY_NS,
            timeout_ns=200_000_000,
            totals=(TotalsSource("bank", command=(sys.executable, "-S", "-c", "print('{\"gold\": 7}')")),),
        )
        probe = ProbeProcess(config, heard.append, dict(os.environ), tmp_path / "log")
        probe.start()
        try:
            until(lambda: sum(one["event"] == "probe" for one in heard) >= 4)
            until(lambda: any(one["event"] == "observed" for one in heard))
        finally:
            probe.stop()
    assert not probe.alive()
    assert (tmp_path / "log").read_text() == ""
    check_relay(rows(tmp_path, "relay"))
    direct = rows(tmp_path, "direct")
    assert sum(row["outcome"] == 0 for row in direct) > len(direct) * 0.9
    assert {row["bot"] for row in direct} == {"gateway[0]"}
    observed = next(one for one in heard if one["event"] == "observed")
    assert (observed["service"], observed["values"], observed["ok"]) == ("bank", {"gold": 7}, True)
    assert not any(one["event"] == "crashed" for one in heard)


def check_relay(relay: list[dict[str, Any]]) -> None:
    intended = sorted(row["intended_ns"] for row in relay)
    assert intended == list(range(intended[0], intended[-1] + 1, EVERY_NS)), "a point of the grid is missing"
    assert intended[0] % EVERY_NS == 0
    by_replica = {name: [row for row in relay if row["bot"] == name] for name in {row["bot"] for row in relay}}
    assert set(by_replica) == {"gateway[0]", "gateway[1]", "gateway[2]"}
    assert max(map(len, by_replica.values())) - min(map(len, by_replica.values())) <= 1
    assert {row["error"] for row in by_replica["gateway[1]"]} == {"silent", "unfinished"}
    assert {row["outcome"] for row in by_replica["gateway[1]"]} == {2}
    assert all(row["end_ns"] == -1 for row in by_replica["gateway[1]"] if row["error"] == "unfinished")
    refused = [row for row in by_replica["gateway[2]"] if row["error"] == "refused"]
    assert refused
    assert all(row["outcome"] == 1 for row in refused)
    assert {(row["operation"], row["cohort"]) for row in relay} == {("probe", "relay")}


def test_a_probe_that_is_killed_is_reported(tmp_path: Path, ponger: str) -> None:
    (tmp_path / "samples").mkdir()
    heard: list[Mapping[str, Any]] = []
    config = ProbeConfig("r", str(tmp_path), 0, "gateway", Hello(send="P\n", expect="PONG"), {"direct": (ponger,)})
    probe = ProbeProcess(config, heard.append, dict(os.environ), tmp_path / "log")
    probe.start()
    try:
        assert probe.pid is not None
        os.kill(probe.pid, signal.SIGKILL)
        until(lambda: any(one["event"] == "crashed" for one in heard))
    finally:
        probe.stop()
    crashed = next(one for one in heard if one["event"] == "crashed")
    assert crashed["part"] == "probe"
    assert "SIGKILL" in crashed["why"]
