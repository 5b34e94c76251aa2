"""Asking for totals: numbers, or the reason why there are none."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator

import pytest

from chaosctl.probe.config import TotalsSource
from chaosctl.probe.totals import ask_totals


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/totals"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b'{"gold": 1000, "wood": 2.5}')

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_url_gives_numbers(url: str) -> None:
    assert ask_totals(TotalsSource("ledger", http=f"{url}/totals")) == ({"gold": 1000, "wood": 2.5}, "")


def test_a_url_that_fails_gives_the_reason(url: str) -> None:
    values, error = ask_totals(TotalsSource("ledger", http=f"{url}/elsewhere"))
    assert values == {}
    assert "404" in error


@pytest.mark.parametrize(
    ("program", "values", "error"),
    [
        ("print('{\"gold\": 3}')", {"gold": 3}, ""),
        ("print('gold')", {}, "JSONDecodeError"),
        ("print('[1]')", {}, "not a JSON object of numbers"),
        ("print('{\"gold\": true}')", {}, "not a JSON object of numbers"),
        ("raise SystemExit(3)", {}, "exit status 3"),
    ],
)
def test_a_command(program: str, values: dict[str, float], error: str) -> None:
    got, why = ask_totals(TotalsSource("ledger", command=(sys.executable, "-S", "-c", program)))
    assert got == values
    assert error in why
    assert bool(why) == bool(error)


def test_a_command_that_is_not_there() -> None:
    assert "No such file" in ask_totals(TotalsSource("ledger", command=("/nowhere/totals",)))[1]
