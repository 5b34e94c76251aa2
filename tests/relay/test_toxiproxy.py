"""Every way a relay's server can fail becomes one sentence, and several servers are driven at once."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from chaosctl.errors import ExitCode, RelayError
from chaosctl.relay.contract import ProxySpec, Toxic
from chaosctl.relay.toxiproxy import ToxiproxyRelay, attach

from .conftest import Line, address, ask, is_cut, seconds_of

VERSION = (200, {"version": "2.12.0"})
SPEC = ProxySpec("p", "127.0.0.1:0", "127.0.0.1:9")
PROXY = {"name": "p", "listen": "127.0.0.1:5", "upstream": "127.0.0.1:9", "enabled": True, "toxics": []}
LATENCY = Toxic("slow", "latency", "downstream", {"latency": 50})


@contextmanager
def canned(answers: dict[tuple[str, str], tuple[int, Any]]) -> Iterator[str]:
    """A server that answers as told, by method and path; the body may be bytes. Yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answers.get((self.command, self.path), (500, b"boom"))
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def frozen() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_server_that_is_not_there() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(RelayError) as caught:
        attach(url)
    assert str(caught.value) == (
        f"The relay at {url} is not there: connection refused; start it, or correct its address."
    )
    assert caught.value.exit_code == ExitCode.NOT_READY


def test_a_server_that_is_frozen(frozen: str) -> None:
    def attach_to_it() -> None:
        with pytest.raises(RelayError, match=r"did not answer within 0\.2 s: it is frozen; restart it\.$"):
            attach(frozen, timeout_s=0.2)

    assert seconds_of(attach_to_it) < 2


def test_a_server_that_freezes_later() -> None:
    with canned({("GET", "/version"): VERSION}) as url:
        relay = attach(url, timeout_s=0.2)
        assert relay.alive()
    assert not relay.alive()
    with pytest.raises(RelayError, match="is not there"):
        relay.set_enabled("p", False)


def test_a_server_that_answers_500() -> None:
    with canned({}) as url:
        with pytest.raises(RelayError) as caught:
            attach(url)
        assert str(caught.value) == f"The relay at {url} answered 500 to GET /version: boom."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, b"<html>"), "not JSON"),
        ((200, b""), "does not say its version"),
        ((200, [1]), "does not say its version"),
        ((200, {"version": 2}), "does not say its version"),
        ((404, b"404 page not found"), "404 page not found"),
        ((301, b""), "does not say its version"),
    ],
)
def test_a_server_that_is_no_toxiproxy(answer: tuple[int, Any], words: str) -> None:
    with canned({("GET", "/version"): answer}) as url, pytest.raises(RelayError, match=words):
        attach(url)


def test_an_address_that_is_none() -> None:
    with pytest.raises(RelayError, match="cannot be asked"):
        attach("http://:::")


def test_a_proxy_that_is_described_in_an_unknown_way() -> None:
    answers = {("GET", "/version"): VERSION, ("GET", "/proxies/p"): (200, {"name": "p"})}
    with canned(answers) as url, pytest.raises(RelayError, match="in an unknown way"):
        attach(url).proxy("p")


@pytest.mark.parametrize("wrong", [{"enabled": True}, {"enabled": False, "upstream": "127.0.0.1:1"}])
def test_a_change_that_did_not_take_effect_is_noticed(wrong: dict[str, Any]) -> None:
    answers = {
        ("GET", "/version"): VERSION,
        ("POST", "/proxies"): (201, PROXY),
        ("PATCH", "/proxies/p"): (200, PROXY),
        ("GET", "/proxies/p"): (200, {**PROXY, **wrong}),
    }
    with canned(answers) as url:
        relay = attach(url)
        with pytest.raises(RelayError, match="not as it was told"):
            relay.set_enabled("p", not wrong["enabled"])
        if not wrong["enabled"]:
            with pytest.raises(RelayError, match="not as it was told"):
                relay.create(SPEC)


@pytest.mark.parametrize(
    "wrong", [{"attributes": {"latency": 49}}, {"type": "noop"}, {"stream": "upstream"}, {"toxicity": 0.5}]
)
def test_a_toxic_that_is_not_as_told_is_noticed(wrong: dict[str, Any]) -> None:
    toxic = {"name": "slow", "type": "latency", "stream": "downstream", "attributes": {"latency": 50}, "toxicity": 1}
    answers = {
        ("GET", "/version"): VERSION,
        ("POST", "/proxies/p/toxics"): (200, toxic),
        ("GET", "/proxies/p/toxics/slow"): (200, {**toxic, **wrong}),
        ("DELETE", "/proxies/p/toxics/slow"): (204, b""),
        ("GET", "/proxies/p/toxics"): (200, [toxic]),
    }
    with canned(answers) as url:
        relay = attach(url)
        with pytest.raises(RelayError, match="not as it was told"):
            relay.add_toxic("p", LATENCY)
        with pytest.raises(RelayError, match="still has toxic 'slow'"):
            relay.remove_toxic("p", "slow")


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_a_name_that_could_not_be_found_again_is_refused(name: str) -> None:
    with canned({("GET", "/version"): VERSION}) as url, pytest.raises(RelayError, match="use no slash"):
        attach(url).create(ProxySpec(name, "127.0.0.1:0", "127.0.0.1:9"))


def test_every_exception_of_requests_is_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree of requests' exceptions, so that a new one is noticed here and not by a user."""
    with canned({("GET", "/version"): VERSION}) as url:
        relay = attach(url)
        for kind in _tree(requests.RequestException):
            error = kind("x", "y", 0) if issubclass(kind, requests.JSONDecodeError) else kind("x")

            def fail(*_: object, error: Exception = error, **__: object) -> None:
                raise error

            monkeypatch.setattr(requests.Session, "request", fail)
            with pytest.raises(RelayError, match=f"^The relay at {url} "):
                relay.proxy("p")


def _tree(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        if not issubclass(below, Warning):
            yield from _tree(below)


def test_the_environment_s_web_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with canned({("GET", "/version"): VERSION}) as url:
        assert attach(url.removeprefix("http://")).info.version == "2.12.0"


@pytest.mark.e2e
class TestAgainstServers:
    """The same on both relays."""

    def test_a_proxy_lives_through_its_changes(self, line: Line) -> None:
        relay = line.relay
        client, _ = line.open()
        assert relay.proxy(line.name) == line.state
        assert line.state.api_url == f"{relay.info.api_url}/proxies/{line.name}"
        assert not relay.set_enabled(line.name, False).enabled
        assert is_cut(client)
        assert relay.set_enabled(line.name, True) == line.state
        relay.add_toxic(line.name, LATENCY)
        whole = replace(LATENCY, attributes={"latency": 50, "jitter": 0})
        assert relay.proxy(line.name).toxics == (whole,)
        relay.update_toxic(line.name, Toxic("slow", "latency", "downstream", {"latency": 70, "jitter": 5}, 0.3))
        assert relay.proxy(line.name).toxics[0].attributes == {"latency": 70, "jitter": 5}
        relay.remove_toxic(line.name, "slow")
        relay.remove_toxic(line.name, "slow")
        assert relay.proxy(line.name).toxics == ()
        relay.delete(line.name)
        relay.delete(line.name)
        with pytest.raises(RelayError, match="proxy not found"):
            relay.proxy(line.name)

    def test_what_it_refuses_is_said(self, line: Line) -> None:
        relay, url = line.relay, line.relay.info.api_url
        with pytest.raises(RelayError, match=f"already has '{line.name}'"):
            relay.create(ProxySpec(line.name, "127.0.0.1:0", line.upstream))
        with pytest.raises(RelayError, match=f"cannot listen on {line.state.listen} for 'other': the port is in use"):
            relay.create(ProxySpec("other", line.state.listen, line.upstream))
        with pytest.raises(RelayError, match="invalid toxic type"):
            relay.add_toxic(line.name, Toxic("x", "magic", "upstream", {}))
        with pytest.raises(RelayError, match=f"{url} has no proxies/none: proxy not found"):
            relay.set_enabled("none", True)
        relay.add_toxic(line.name, LATENCY)
        with pytest.raises(RelayError, match="already has 'slow'"):
            relay.add_toxic(line.name, LATENCY)

    def test_a_listener_that_cannot_come_back_is_said(self, line: Line) -> None:
        line.relay.set_enabled(line.name, False)
        taken = socket.create_server(address(line.state.listen))
        with taken, pytest.raises(RelayError, match="address already in use"):
            line.relay.set_enabled(line.name, True)

    def test_odd_names_are_escaped(self, relay: ToxiproxyRelay) -> None:
        state = relay.create(ProxySpec("a b%2F#é?&", "127.0.0.1:0", "127.0.0.1:9"))
        relay.add_toxic(state.name, Toxic("c d#", "latency", "upstream", {"latency": 1}))
        assert [toxic.name for toxic in relay.proxy(state.name).toxics] == ["c d#"]
        relay.remove_toxic(state.name, "c d#")
        relay.delete(state.name)
        assert state.name not in [found.name for found in relay.proxies()]

    def test_close_deletes_only_what_it_made(self, line: Line) -> None:
        guest = attach(line.relay.info.api_url)
        assert (guest.pid, guest.info.started_by_us, guest.alive()) == (None, False, True)
        mine = guest.create(ProxySpec("guest's", "127.0.0.1:0", "127.0.0.1:9"))
        guest.close()
        names = [found.name for found in line.relay.proxies()]
        assert line.name in names
        assert mine.name not in names


@pytest.mark.e2e
@pytest.mark.needs("toxiproxy")
def test_several_servers_at_once(embedded: ToxiproxyRelay, toxiproxy: ToxiproxyRelay) -> None:
    both = (embedded, toxiproxy)
    assert [relay.info.kind for relay in both] == ["embedded", "toxiproxy"]
    for relay in both:
        relay.create(ProxySpec("same name", "127.0.0.1:0", f"127.0.0.1:{unused_port()}"))
    embedded.delete("same name")
    assert ask(embedded, "GET", "/proxies/same%20name").status == 404
    assert toxiproxy.proxy("same name").enabled
    toxiproxy.delete("same name")
