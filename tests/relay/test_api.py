"""Toxiproxy's HTTP API, the same on both relays: every endpoint, every error body."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from chaosctl.relay.toxiproxy import ToxiproxyRelay

from .conftest import Line, address, ask, is_cut, receive

pytestmark = pytest.mark.e2e

LATENCY = {"name": "slow", "type": "latency", "stream": "upstream", "attributes": {"latency": 20, "jitter": 3}}


def shown(proxy: dict[str, Any]) -> dict[str, Any]:
    """A proxy without what only one relay has: our counters, and the logger that Toxiproxy lets slip out."""
    return {key: value for key, value in proxy.items() if key not in ("counters", "Logger")}


def test_version(relay: ToxiproxyRelay) -> None:
    answer = ask(relay, "GET", "/version")
    assert answer.status == 200
    assert answer.content_type.startswith("application/json")
    assert answer.json["version"] == relay.info.version


def test_create_show_list_delete(relay: ToxiproxyRelay) -> None:
    wish = {"name": "made", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    created = ask(relay, "POST", "/proxies", wish)
    assert created.status == 201
    listen = created.json["listen"]
    assert address(listen)[1] > 0
    expected = {**wish, "listen": listen, "enabled": True, "toxics": []}
    assert shown(created.json) == expected
    assert shown(ask(relay, "GET", "/proxies/made").json) == expected
    assert shown(ask(relay, "GET", "/proxies").json["made"]) == expected
    deleted = ask(relay, "DELETE", "/proxies/made")
    assert (deleted.status, deleted.text) == (204, "")
    assert "made" not in ask(relay, "GET", "/proxies").json
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(listen), timeout=1)


def test_a_proxy_made_disabled_does_not_listen(relay: ToxiproxyRelay) -> None:
    wish = {"name": "shut", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": False}
    created = ask(relay, "POST", "/proxies", wish)
    assert (created.status, created.json["enabled"]) == (201, False)
    ask(relay, "DELETE", "/proxies/shut")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/proxies", b"{", 400, "bad request body: "),
        ("POST", "/proxies", b"", 400, "bad request body: "),
        ("POST", "/proxies", b"[]", 400, "bad request body: "),
        ("POST", "/proxies", {"name": 5, "upstream": "127.0.0.1:9"}, 400, "bad request body: "),
        ("POST", "/proxies", {"upstream": "127.0.0.1:9"}, 400, "missing required field: name"),
        ("POST", "/proxies", {"name": "x"}, 400, "missing required field: upstream"),
        ("POST", "/proxies", {"name": "LINE", "upstream": "127.0.0.1:9"}, 409, "proxy already exists"),
        ("POST", "/proxies", {"name": "x", "upstream": "127.0.0.1:9", "listen": "LISTEN"}, 500, "listen tcp "),
        ("GET", "/proxies/none", None, 404, "proxy not found"),
        ("PATCH", "/proxies/none", {}, 404, "proxy not found"),
        ("PATCH", "/proxies/LINE", b"{", 400, "bad request body: "),
        ("PATCH", "/proxies/LINE", {"enabled": "yes"}, 400, "bad request body: "),
        ("DELETE", "/proxies/none", None, 404, "proxy not found"),
        ("GET", "/proxies/none/toxics", None, 404, "proxy not found"),
        ("POST", "/proxies/none/toxics", LATENCY, 404, "proxy not found"),
        ("POST", "/proxies/LINE/toxics", b"{", 400, "bad request body: "),
        ("POST", "/proxies/LINE/toxics", {"type": "magic"}, 400, "invalid toxic type"),
        ("POST", "/proxies/LINE/toxics", {}, 400, "invalid toxic type"),
        (
            "POST", "/proxies/LINE/toxics", {"type": "latency", "stream": "sideways"}, 400,
            "stream was invalid, can be either upstream or downstream",
        ),
        (
            "POST", "/proxies/LINE/toxics", {"type": "latency", "attributes": {"latency": "slow"}}, 400,
            "bad request body: ",
        ),
        ("GET", "/proxies/LINE/toxics/none", None, 404, "toxic not found"),
        ("PATCH", "/proxies/LINE/toxics/none", {}, 404, "toxic not found"),
        ("DELETE", "/proxies/LINE/toxics/none", None, 404, "toxic not found"),
        ("POST", "/populate", b"{", 400, "bad request body: "),
        ("POST", "/populate", [{"upstream": "127.0.0.1:9"}], 400, "missing required field: name at proxy 1"),
        (
            "POST", "/populate", [{"name": "LINE", "upstream": "127.0.0.1:9"}, {"name": "x"}], 400,
            "missing required field: upstream at proxy 2",
        ),
    ],
)  # fmt: skip
def test_errors_have_their_code_and_body(
    line: Line, method: str, path: str, body: Any, status: int, error: str
) -> None:
    answer = ask(line.relay, method, _fill(path, line), _fill(body, line))
    assert answer.status == status
    assert answer.json["status"] == status
    assert answer.json["error"].startswith(error)
    if not error.endswith(" "):
        assert answer.json["error"] == error


def _fill(value: Any, line: Line) -> Any:
    if isinstance(value, str):
        return value.replace("LINE", line.name).replace("LISTEN", line.state.listen)
    if isinstance(value, dict):
        return {key: _fill(inner, line) for key, inner in value.items()}
    return [_fill(inner, line) for inner in value] if isinstance(value, list) else value


def test_a_port_in_use_is_named(line: Line) -> None:
    body = {"name": "second", "upstream": "127.0.0.1:9", "listen": line.state.listen}
    error = ask(line.relay, "POST", "/proxies", body).json["error"]
    assert error == f"listen tcp {line.state.listen}: bind: address already in use"
    assert ask(line.relay, "GET", "/proxies/second").status == 404


def test_unknown_paths_and_methods(relay: ToxiproxyRelay) -> None:
    assert ask(relay, "GET", "/nothing").status == 404
    assert ask(relay, "GET", "/proxies/a/b/c/d").status == 404
    assert ask(relay, "DELETE", "/proxies").status == 405
    assert ask(relay, "GET", "/reset").status == 405


def test_browsers_are_refused(relay: ToxiproxyRelay) -> None:
    answer = ask(relay, "GET", "/version", **{"User-Agent": "Mozilla/5.0 (X11)"})
    assert (answer.status, answer.text) == (403, "User agent not allowed\n")


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_patch_disables_and_enables(line: Line, method: str) -> None:
    client, server = line.open()
    path = f"/proxies/{line.name}"
    shut = ask(line.relay, method, path, {"enabled": False})
    assert (shut.status, shut.json["enabled"], shut.json["listen"]) == (200, False, line.state.listen)
    assert is_cut(client)
    assert is_cut(server)
    with pytest.raises(ConnectionRefusedError):
        line.dial()
    opened = ask(line.relay, method, path, {"enabled": True})
    assert (opened.json["enabled"], opened.json["listen"]) == (True, line.state.listen)
    client, server = line.open()
    client.sendall(b"again")
    assert receive(server, 5) == b"again"


def test_patch_moves_a_proxy_to_another_upstream(line: Line) -> None:
    client, _ = line.open()
    with socket.create_server(("127.0.0.1", 0)) as other:
        upstream = f"127.0.0.1:{other.getsockname()[1]}"
        moved = ask(line.relay, "PATCH", f"/proxies/{line.name}", {"upstream": upstream}).json
        assert (moved["upstream"], moved["enabled"], moved["listen"]) == (upstream, True, line.state.listen)
        assert is_cut(client)
        line.dial().sendall(b"x")
        other.settimeout(5)
        server, _ = other.accept()
        assert receive(server, 1) == b"x"
        server.close()


def test_patch_moves_the_listener(line: Line) -> None:
    moved = ask(line.relay, "PATCH", f"/proxies/{line.name}", {"listen": "127.0.0.1:0"}).json["listen"]
    assert moved != line.state.listen
    with pytest.raises(ConnectionRefusedError):
        line.dial()
    with socket.create_connection(address(moved), timeout=5):
        line.listener.accept()[0].close()


def test_patch_that_changes_nothing_cuts_nothing(line: Line) -> None:
    client, server = line.open()
    ask(line.relay, "PATCH", f"/proxies/{line.name}", {"listen": line.state.listen, "enabled": True})
    client.sendall(b"still")
    assert receive(server, 5) == b"still"


def test_toxics_are_made_shown_updated_and_removed(line: Line) -> None:
    path = f"/proxies/{line.name}/toxics"
    created = ask(line.relay, "POST", path, LATENCY)
    expected = {**LATENCY, "toxicity": 1}
    assert (created.status, created.json) == (200, expected)
    assert ask(line.relay, "GET", f"{path}/slow").json == expected
    assert ask(line.relay, "GET", path).json == [expected]
    assert ask(line.relay, "POST", path, LATENCY).json == {"error": "toxic already exists", "status": 409}
    for method, latency_ms in (("PATCH", 30), ("POST", 40)):
        body = {"attributes": {"latency": latency_ms}, "toxicity": 0.5}
        updated = ask(line.relay, method, f"{path}/slow", body)
        changed = {**LATENCY, "toxicity": 0.5, "attributes": {"latency": latency_ms, "jitter": 3}}
        assert (updated.status, updated.json) == (200, changed)
    removed = ask(line.relay, "DELETE", f"{path}/slow")
    assert (removed.status, removed.text) == (204, "")
    assert ask(line.relay, "GET", path).json == []


def test_a_toxic_has_defaults(line: Line) -> None:
    created = ask(line.relay, "POST", f"/proxies/{line.name}/toxics", {"type": "latency"})
    assert created.json == {
        "name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1,
        "attributes": {"latency": 0, "jitter": 0},
    }  # fmt: skip


def test_toxics_are_listed_upstream_first_in_their_order(line: Line) -> None:
    for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "downstream"), ("d", "upstream")):
        ask(line.relay, "POST", f"/proxies/{line.name}/toxics", {"name": name, "type": "latency", "stream": stream})
    listed = ask(line.relay, "GET", f"/proxies/{line.name}").json["toxics"]
    assert [toxic["name"] for toxic in listed] == ["b", "d", "a", "c"]


def test_reset_enables_every_proxy_and_removes_every_toxic(line: Line) -> None:
    line.toxic("latency", latency=5)
    ask(line.relay, "PATCH", f"/proxies/{line.name}", {"enabled": False})
    answer = ask(line.relay, "POST", "/reset")
    assert (answer.status, answer.text) == (204, "")
    after = ask(line.relay, "GET", f"/proxies/{line.name}").json
    assert (after["enabled"], after["toxics"]) == (True, [])


def test_populate_makes_keeps_and_replaces(line: Line) -> None:
    client, server = line.open()
    line.toxic("latency", latency=1)
    same = {"name": line.name, "listen": line.state.listen, "upstream": line.upstream}
    new = {"name": "populated", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    first = ask(line.relay, "POST", "/populate", [same, new])
    assert first.status == 201
    kept, made = first.json["proxies"]
    assert (kept["name"], len(kept["toxics"])) == (line.name, 1)
    client.sendall(b"kept")
    assert receive(server, 4) == b"kept"
    replaced = ask(line.relay, "POST", "/populate", [{**new, "listen": made["listen"], "upstream": "127.0.0.1:10"}])
    assert replaced.json["proxies"][0]["upstream"] == "127.0.0.1:10"
    assert line.name in ask(line.relay, "GET", "/proxies").json
    ask(line.relay, "DELETE", "/proxies/populated")


def test_populate_says_what_was_made_before_it_failed(line: Line) -> None:
    new = {"name": "first", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    answer = ask(line.relay, "POST", "/populate", [new, {**new, "name": "second", "listen": line.state.listen}])
    assert (answer.status, answer.json["status"]) == (500, 500)
    assert "address already in use" in answer.json["error"]
    assert [proxy["name"] for proxy in answer.json["proxies"]] == ["first"]
    ask(line.relay, "DELETE", "/proxies/first")


def test_names_may_hold_anything_but_a_slash(relay: ToxiproxyRelay) -> None:
    ask(relay, "POST", "/proxies", {"name": "a b%2F#é?", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"})
    quoted = "/proxies/a%20b%252F%23%C3%A9%3F"
    assert ask(relay, "GET", quoted).json["name"] == "a b%2F#é?"
    assert ask(relay, "DELETE", quoted).status == 204
