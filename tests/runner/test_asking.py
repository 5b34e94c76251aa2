"""Replicas that are asked for their roles: real answers over HTTP and of commands, silence, refusals and nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chaosctl.experiment.model import Target
from chaosctl.runner import asking
from chaosctl.runner.asking import Roles
from chaosctl.runner.roles import RoleAnswer


@dataclass(frozen=True)
class Addresses:
    """A driver that only knows where replicas listen."""

    addresses: Mapping[int, str]

    def values(self, service: str, index: int) -> Mapping[str, str]:
        return {"self.status": self.addresses[index], "index": str(index)}


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """Serve one page on any path."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def target(status: object, replicas: int) -> Target:
    return Target.model_validate(
        {"services": {"world": {"run": ["w"], "ports": ["status"], "replicas": replicas, "offers": {"status": status}}}}
    )


def test_each_replica_is_asked_and_what_hangs_or_refuses_has_no_role(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_WITHIN_S", 0.3)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # which must not be asked
    with (
        answering(b'{"role": "leader"}') as leader,
        answering(b"<html>") as odd,
        socket.create_server(("127.0.0.1", 0)) as hangs,
        socket.socket() as unused,
    ):
        unused.bind(("127.0.0.1", 0))
        addresses = {0: leader, 1: odd} | {
            index: f"127.0.0.1:{one.getsockname()[1]}" for index, one in ((2, hangs), (3, unused))
        }
        roles = Roles(target({"http": "status/status"}, 4), Addresses(addresses), {})  # type: ignore[arg-type]
        answers = roles.ask("world")
    assert answers[0] == RoleAnswer("leader")
    assert [answers[index].role for index in (1, 2, 3)] == [None, None, None]
    assert "JSON" in answers[1].why
    assert "no answer" in answers[2].why or "timed out" in answers[2].why
    assert "refused" in answers[3].why


def test_a_command_may_say_it() -> None:
    command = ["python3", "-c", "import json, sys; print(json.dumps({'role': 'no' + sys.argv[1]}))", "${index}"]
    roles = Roles(target({"command": command}, 1), Addresses({0: "x:1"}), {})  # type: ignore[arg-type]
    asked = roles.ask("world")
    assert asked == {0: RoleAnswer("no0")}


def test_a_command_that_fails_has_no_role() -> None:
    for command in (["false"], ["/no/such/command"]):
        roles = Roles(target({"command": command}, 1), Addresses({0: "x:1"}), {})  # type: ignore[arg-type]
        assert roles.ask("world")[0].role is None
