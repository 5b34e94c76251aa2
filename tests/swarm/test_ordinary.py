"""A locustfile that knows nothing of chaosctl runs unchanged, and what its users do is recorded."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from tests.swarm.playground import StartSwarm, until

pytestmark = pytest.mark.e2e
OK, FAIL, INFO = range(3)


class Web(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name: str, seen: list[str]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen.append(name)
                if self.path == "/cut":
                    self.close_connection = True
                    return
                if self.path == "/slow":
                    time.sleep(0.3)
                self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, *_: object) -> None:
        """A client that did not wait for /slow is no error."""


@pytest.fixture
def replicas() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    seen: list[str] = []
    servers = [Web(name, seen) for name in ("first", "second")]
    yield tuple(f"127.0.0.1:{server.server_address[1]}" for server in servers), seen
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_ordinary_locustfile(make_swarm: StartSwarm, replicas: tuple[tuple[str, ...], list[str]]) -> None:
    addresses, seen = replicas
    swarm, heard, bundle = make_swarm("web.py", {"near": addresses, "far": addresses[:1]}, {"near": 4, "far": 2})
    swarm.start()
    swarm.users(6, 0.2)
    until(lambda: sum(line["operations"] for line in heard.of("generator")) > 150)
    swarm.end_load(3.0)
    audited = swarm.audit(3.0)
    swarm.stop()
    assert audited == {"event": "audited", "bots": 0, "failed": 0}
    assert not heard.of("crashed")
    with pa.ipc.open_stream(bundle / "samples" / "swarm-0.arrow") as stream:
        assert stream.schema.metadata[b"open_loop"] == b"false"
        rows = stream.read_all().to_pylist()
    met = {row["operation"]: (row["outcome"], row["error"]) for row in rows}
    assert met == {"/": (OK, ""), "/missing": (FAIL, "HTTP 404"), "/cut": (INFO, "cut"), "/slow": (INFO, "silent")}
    assert all(row["intended_ns"] == row["sent_ns"] <= row["end_ns"] for row in rows)
    assert {(row["bot"], row["cohort"]) for row in rows} == {(f"near-{i}", "near") for i in range(4)} | {
        (f"far-{i}", "far") for i in range(2)
    }
    assert set(seen) == {"first", "second"}
    errors = heard.of("bot_error")
    assert "KeyError: 'on purpose' (web.py:" in errors[0]["error"]
    assert len(errors) == 2
