"""Each way to find out, when it holds and when it does not."""

from __future__ import annotations

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.deploy.contract import Replica
from chaosctl.deploy.readiness import Check, CommandCheck, check_of
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Ready

BOUND_S = 5.0


def check(tmp_path: Path, port: int = 1, **ready: object) -> Check:
    replica = Replica("one", 0, {"main": f"127.0.0.1:{port}"}, tmp_path, tmp_path / "one-0.log")
    asked = Ready.model_validate(ready)
    return check_of(asked, replica, asked.command or (), os.environ, tmp_path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_tcp(tmp_path: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    probe = check(tmp_path, port, tcp="main")
    assert probe.holds(BOUND_S)
    listener.close()
    assert not probe.holds(BOUND_S)
    assert probe.describe() == f"port main (127.0.0.1:{port}) accepts a connection"


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def health() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_http(tmp_path: Path, health: int) -> None:
    assert check(tmp_path, health, http="main/healthz").holds(BOUND_S)
    ill = check(tmp_path, health, http="main/other")
    assert not ill.holds(BOUND_S)
    assert "last: 503 Service Unavailable" in ill.describe()


def test_http_that_refuses_or_keeps_silent(tmp_path: Path, listener: socket.socket) -> None:
    silent = check(tmp_path, listener.getsockname()[1], http="main/")
    begin_s = time.monotonic()
    assert not silent.holds(0.1)
    assert time.monotonic() - begin_s < BOUND_S
    assert "timed out" in silent.describe()
    listener.close()
    assert not silent.holds(BOUND_S)
    assert "refused" in silent.describe()


def test_log_sees_what_comes_after_the_check_was_made(tmp_path: Path) -> None:
    log = tmp_path / "one-0.log"
    log.write_text("serving on 1\n")
    probe = check(tmp_path, log=r"serving on \d+")
    assert not probe.holds(BOUND_S)
    with log.open("a") as out:
        out.write("serv")
        out.flush()
        assert not probe.holds(BOUND_S)
        out.write("ing on 2")
        out.flush()
        assert probe.holds(BOUND_S)


def test_log_follows_a_file_that_appears_and_one_that_is_renamed(tmp_path: Path) -> None:
    log = tmp_path / "one-0.log"
    appearing, renamed = check(tmp_path, log="up"), check(tmp_path, log="last word")
    assert not appearing.holds(BOUND_S)
    log.write_text("coming up\n")
    assert appearing.holds(BOUND_S)
    assert not renamed.holds(BOUND_S)
    with log.open("a") as out:
        out.write("last word\n")
    log.rename(tmp_path / "one-0.log.1")
    log.write_text("first word\n")
    assert renamed.holds(BOUND_S)
    assert check(tmp_path, log="first word").holds(BOUND_S) is False


def test_command(tmp_path: Path) -> None:
    assert check(tmp_path, command=["test", "-d", "."]).holds(BOUND_S)
    failing = check(tmp_path, command=["sh", "-c", "exit 7"])
    assert not failing.holds(BOUND_S)
    assert "last: code 7" in failing.describe()
    missing = check(tmp_path, command=["no-such-program-here"])
    assert not missing.holds(BOUND_S)
    assert "No such file" in missing.describe()


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    # The child holds the pipe: its end of file says that nobody is left.
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    path = f"/proc/{os.getpid()}/fd/{writable}"
    probe = CommandCheck(["sh", "-c", f"exec 9>{path}; sleep 600 & wait"], os.environ, tmp_path)
    assert not probe.holds(0.3)
    assert "still running after 0.3 s" in probe.describe()
    os.close(writable)
    assert os.read(readable, 1) == b""
    os.close(readable)


def test_a_port_that_the_service_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="no port 'status' to be ready on; its ports are: main"):
        check(tmp_path, http="status/healthz")
