"""A condition that holds ends the run early: healed, read back, torn down, exit code 5, and said with its number."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Place, Run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CUT = "timeline=[{ at: 0s, for: 50s, fault: partition, on: bots-tiny, mode: refuse }]"
WAYS = ("errors", "page", "command")


class Page(BaseHTTPRequestHandler):
    """Healthy until it is said not to be."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(Page.status)
        self.end_headers()

    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/healthz"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stopped(place: Place, url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One run for each kind, side by side; each has its fault in force when its condition begins to hold."""
    flag: Path = tmp_path_factory.mktemp("guard") / "flag"
    conditions = {
        "errors": '{ errors: "> 50%", over: 2s }',
        "page": f'{{ http: "{url}", unhealthy_for: 500ms, every: 200ms }}',
        "command": f'{{ command: [sh, -c, "test ! -e {flag}"], every: 200ms }}',
    }
    sets = (CUT, "duration=55s", "objectives={lost_acks: 0}")
    runs = {
        way: place.run(way, *(word for value in (*sets, f"stop_when=[{condition}]") for word in ("--set", value)))
        for way, condition in conditions.items()
    }
    for run in runs.values():
        run.wait_for("fault_proved")
    Page.status = 503
    flag.touch()
    return runs


@pytest.mark.parametrize(
    ("way", "saying"),
    [
        ("errors", "errors > 50% over 2s: "),
        ("page", "unhealthy for 500ms: "),
        ("command", "objects: exited with 1"),
    ],
)
def test_it_ends_the_run_heals_reads_back_and_says_so(stopped: dict[str, Run], way: str, saying: str) -> None:
    run = stopped[way]
    ended = run.ended()
    assert ended.code == 5, ended
    run.nothing_is_left()
    (stop,) = run.events("stopped")
    assert saying in stop["condition"]
    assert stop["condition"] in " ".join(ended.out.split())
    assert stop["condition"].split(":")[0] in (run.bundle / "report.html").read_text().replace("&gt;", ">")
    assert [event["fault"] for event in run.events("fault_healed")] == ["f1-partition"]
    assert "audit" in [event["name"] for event in run.events("phase")]
    verdict = run.verdict()
    assert (verdict["status"], verdict["exit_code"], verdict["ended"]) == ("inconclusive", 5, "stopped")
    assert [found["measured"]["value"] for found in verdict["objectives"]] == [0, 0], "what was seen is kept"
