"""Where the embedded relay does other than Toxiproxy 2.12, on purpose. Each has its reason, and a test of its name."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass

import pytest

from chaosctl.relay.contract import ProxySpec
from chaosctl.relay.toxiproxy import ToxiproxyRelay

from .conftest import Line, address, ask, drain, is_cut, is_silent, receive, seconds_of, wait_for

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Difference:
    name: str
    toxiproxy: str
    embedded: str
    reason: str


DIFFERENCES = (
    Difference(
        "values_without_meaning",
        "takes any number: a negative rate panics, an average_size of 0 crashes the server, a variation as large as "
        "the average recurses without end; an address without a port fails later or answers 500",
        "answers 400 and changes nothing",
        "a mistake in an experiment must be said at once and must not end the relay",
    ),
    Difference(
        "strict_json",
        "ignores the case of keys and whatever follows the first JSON value",
        "keys are as documented; a body is one JSON value",
        "a misspelt body should be an error, not a guess",
    ),
    Difference(
        "timeout_counts_from_its_start",
        "starts the timer anew on every chunk, so that a link that ticks is never closed",
        "closes that long after the toxic began to act on the connection",
        "that is what the attribute says, and busy links are the ones under test",
    ),
    Difference(
        "reset_peer_reaches_idle_sessions",
        "waits for data, and sets SO_LINGER only at connect: idle sessions are not cut, open ones end without RST",
        "resets every connection that long after the toxic began to act on it",
        "a partition that spares who is silent is none",
    ),
    Difference(
        "half_close",
        "closes both directions when one side has finished sending: the answer is lost",
        "passes the end of the one direction and keeps the other open",
        "TCP works so, and protocols rely on it",
    ),
    Difference(
        "dials_are_concurrent",
        "dials in the accept loop, one after another, without a limit",
        "dials at the same time as everything else, and gives up after 10 s",
        "one dead upstream would queue every reconnect behind it and be measured as slow recovery",
    ),
    Difference(
        "latency_delays_the_end",
        "passes the end of the stream at once when no data is under way",
        "delays it as it delays data",
        "a crash would be noticed behind a slow link sooner than it could be",
    ),
    Difference(
        "toxicity_is_drawn_once",
        "draws again whenever toxics change, from a source that cannot be seeded",
        "each connection draws once for each toxic and keeps its draw; a larger toxicity strikes the same and more",
        "the same seed must strike the same connections",
    ),
    Difference(
        "draws_are_seeded",
        "-seed has no effect",
        "jitter, slices and toxicity come from the seed and the names of proxy and toxic and the connection's number",
        "a run must be repeatable",
    ),
    Difference(
        "slices_are_around_the_average",
        "halves until a piece is small enough, so that slices are down to half of average_size",
        "draws each slice from average_size ± size_variation",
        "that is what the attributes say",
    ),
    Difference(
        "an_update_delays_anew",
        "lets go what is at the head of a latency or bandwidth toxic when its attributes change",
        "applies the new attributes to what is held",
        "a correction of a delay must not let anything slip by undelayed",
    ),
    Difference(
        "removing_spares_the_spared",
        "removing a timeout closes every connection, also those its toxicity spared",
        "closes those that have lost bytes",
        "nothing is wrong with the others",
    ),
    Difference(
        "counters_move",
        "counts bytes when a link closes, and only with -proxy-metrics; it has no count of connections",
        "always counts while links are open: in /metrics, and as `counters` beside each proxy",
        "whether traffic is really faulted is asked while it is",
    ),
    Difference(
        "listens_on_loopback",
        "a proxy without `listen` is open to the network",
        "listens on 127.0.0.1",
        "a relay must not open a machine by default",
    ),
    Difference(
        "says_which_it_is",
        "/version has the version",
        "/version also has `server`: `chaosctl`; a proxy has no `Logger`; errors are sent as application/json",
        "a report names the relay that carried the run",
    ),
    Difference(
        "holds_a_bounded_amount",
        "a latency toxic keeps 1024 chunks of up to 32 KiB for each direction of each connection",
        "keeps 1 MiB, then stops reading",
        "hundreds of connections must fit into memory",
    ),
)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
def test_each_difference_has_a_test(difference: Difference) -> None:
    assert callable(getattr(sys.modules[__name__], f"test_{difference.name}", None))


@pytest.mark.parametrize(
    ("kind", "attributes", "why"),
    [
        ("bandwidth", {"rate": -1}, "rate must be from 0"),
        ("latency", {"latency": -5}, "latency must be from 0"),
        ("slicer", {}, "average_size must be at least 1"),
        ("slicer", {"average_size": 5, "size_variation": 5}, "size_variation must be less than average_size"),
    ],
)
def test_values_without_meaning(embedded_line: Line, kind: str, attributes: dict[str, int], why: str) -> None:
    path = f"/proxies/{embedded_line.name}/toxics"
    answer = ask(embedded_line.relay, "POST", path, {"type": kind, "attributes": attributes})
    assert answer.status == 400
    assert why in answer.json["error"]
    assert ask(embedded_line.relay, "POST", path, {"type": "latency", "toxicity": 2}).status == 400
    for wish in ({"listen": "127.0.0.1"}, {"upstream": "nowhere"}, {"listen": "::1:80"}, {"upstream": "a:99999"}):
        body = {"name": "x", "upstream": "127.0.0.1:9", **wish}
        assert ask(embedded_line.relay, "POST", "/proxies", body).status == 400
    assert ask(embedded_line.relay, "PATCH", f"/proxies/{embedded_line.name}", {"listen": "nowhere"}).status == 400
    client, server = embedded_line.open()
    client.sendall(b"x")
    assert receive(server, 1) == b"x"


def test_strict_json(embedded: ToxiproxyRelay) -> None:
    assert ask(embedded, "POST", "/proxies", {"Name": "x", "Upstream": "127.0.0.1:9"}).status == 400
    assert ask(embedded, "POST", "/populate", b"[] []").status == 400


def test_timeout_counts_from_its_start(embedded_line: Line) -> None:
    client, _ = embedded_line.open()
    embedded_line.toxic("timeout", "upstream", timeout=300)
    client.settimeout(0.05)
    deadline_s = time.monotonic() + 3
    with pytest.raises(ConnectionError):
        while time.monotonic() < deadline_s:
            client.sendall(b"tick")
            try:
                if client.recv(1) == b"":
                    raise ConnectionError
            except TimeoutError:
                continue


def test_reset_peer_reaches_idle_sessions(embedded_line: Line) -> None:
    client, server = embedded_line.open()
    embedded_line.toxic("reset_peer", "upstream", timeout=0)
    for sock in (client, server):
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_half_close(embedded_line: Line) -> None:
    for toxic in (None, "latency"):
        if toxic:
            embedded_line.toxic(toxic, "upstream", latency=20)
        client, server = embedded_line.open()
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert drain(server) == b"question"
        assert is_silent(client, 0.05)
        server.sendall(b"answer")
        server.close()
        assert drain(client) == b"answer"
    wait_for(lambda: embedded_line.counters()["open"] == 0)


def test_dials_are_concurrent(embedded: ToxiproxyRelay) -> None:
    # A listener whose backlog is full does not answer; the next connection waits in SYN_SENT.
    with socket.socket() as full, socket.socket() as filler, socket.socket() as filler2:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for each in (filler, filler2):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        state = embedded.create(ProxySpec("stuck", "127.0.0.1:0", f"127.0.0.1:{full.getsockname()[1]}"))
        clients = [socket.create_connection(address(state.listen), timeout=5) for _ in range(3)]
        wait_for(lambda: ask(embedded, "GET", "/proxies/stuck").json["counters"]["connections"] == 3)
        assert ask(embedded, "GET", "/proxies/stuck").json["counters"]["open"] == 0
        free = Line(embedded)
        client, server = free.open()
        client.sendall(b"x")
        assert receive(server, 1) == b"x"
        free.close()
        embedded.delete("stuck")
        assert all(is_cut(each) for each in clients)
        for each in clients:
            each.close()


def test_latency_delays_the_end(embedded_line: Line) -> None:
    embedded_line.toxic("latency", "downstream", latency=150)
    client, server = embedded_line.open()
    server.close()
    assert seconds_of(lambda: drain(client)) >= 0.14


def struck(line: Line, connections: int) -> list[bool]:
    """Which of the next connections a timeout toxic swallows."""
    found = []
    for _ in range(connections):
        client, server = line.open()
        client.sendall(b"x")
        found.append(is_silent(server, 0.03))
    return found


def test_toxicity_is_drawn_once(embedded_line: Line) -> None:
    name = embedded_line.toxic("bandwidth", "upstream", 0.3, rate=0)
    path = f"/proxies/{embedded_line.name}/toxics/{name}"
    pairs = [embedded_line.open() for _ in range(20)]

    def stalled() -> set[int]:
        for client, _ in pairs:
            client.sendall(b"x")
        found = {i for i, (_, server) in enumerate(pairs) if is_silent(server, 0.03)}
        ask(embedded_line.relay, "PATCH", path, {"toxicity": 0})
        for _, server in pairs:
            assert receive(server, 1) == b"x"
        return found

    first = stalled()
    ask(embedded_line.relay, "PATCH", path, {"toxicity": 0.3})
    assert stalled() == first
    ask(embedded_line.relay, "PATCH", path, {"toxicity": 0.7})
    assert stalled() > first
    assert 0 < len(first) < 20


def test_draws_are_seeded(embedded: ToxiproxyRelay) -> None:
    seen = []
    for _ in range(2):
        line = Line(embedded)
        again = embedded.create(ProxySpec("seeded", "127.0.0.1:0", line.upstream))
        embedded.delete(line.name)
        line.state = again
        line.toxic("timeout", "upstream", 0.5, timeout=0)
        seen.append(struck(line, 12))
        line.close()
    assert seen[0] == seen[1]
    assert 0 < sum(seen[0]) < 12


def test_slices_are_around_the_average(embedded_line: Line) -> None:
    embedded_line.toxic("slicer", "upstream", average_size=600, delay=20_000)
    client, server = embedded_line.open()
    client.sendall(b"x" * 1000)
    assert [len(server.recv(65536)), len(server.recv(65536))] == [600, 400]


def test_an_update_delays_anew(embedded_line: Line) -> None:
    name = embedded_line.toxic("latency", "upstream", latency=60_000)
    client, server = embedded_line.open()
    client.sendall(b"x")
    assert is_silent(server, 0.05)
    path = f"/proxies/{embedded_line.name}/toxics/{name}"
    ask(embedded_line.relay, "PATCH", path, {"attributes": {"latency": 50_000}})
    assert is_silent(server, 0.1)
    ask(embedded_line.relay, "PATCH", path, {"attributes": {"latency": 10}})
    assert receive(server, 1) == b"x"


def test_removing_spares_the_spared(embedded_line: Line) -> None:
    name = embedded_line.toxic("timeout", "upstream", 0.0, timeout=0)
    client, server = embedded_line.open()
    embedded_line.relay.remove_toxic(embedded_line.name, name)
    client.sendall(b"x")
    assert receive(server, 1) == b"x"


def test_counters_move(embedded_line: Line) -> None:
    client, server = embedded_line.open()
    client.sendall(b"12345")
    receive(server, 5)
    server.sendall(b"123")
    receive(client, 3)
    expected = {"connections": 1, "open": 1, "upstream_bytes": 5, "downstream_bytes": 3, "refused_dials": 0}
    assert embedded_line.counters() == expected
    embedded_line.toxic("timeout", "upstream", timeout=0)
    client.sendall(b"swallowed")
    assert is_silent(server, 0.1)
    assert embedded_line.counters() == expected
    metrics = ask(embedded_line.relay, "GET", "/metrics")
    labels = f'proxy="{embedded_line.name}",listener="{embedded_line.state.listen}",upstream="{embedded_line.upstream}"'
    assert f'toxiproxy_proxy_received_bytes_total{{direction="upstream",{labels}}} 14\n' in metrics.text
    assert f'toxiproxy_proxy_sent_bytes_total{{direction="upstream",{labels}}} 5\n' in metrics.text
    assert f"chaosctl_open_connections{{{labels}}} 1\n" in metrics.text
    embedded_line.listener.close()
    assert is_cut(embedded_line.dial())
    assert embedded_line.counters()["refused_dials"] == 1


def test_listens_on_loopback(embedded: ToxiproxyRelay) -> None:
    created = ask(embedded, "POST", "/proxies", {"name": "anywhere", "upstream": "127.0.0.1:9"})
    assert created.json["listen"].startswith("127.0.0.1:")
    embedded.delete("anywhere")


def test_says_which_it_is(embedded: ToxiproxyRelay) -> None:
    assert ask(embedded, "GET", "/version").json["server"] == "chaosctl"
    assert embedded.info.kind == "embedded"
    assert ask(embedded, "GET", "/proxies/none").content_type == "application/json"


def test_holds_a_bounded_amount(embedded_line: Line) -> None:
    name = embedded_line.toxic("latency", "upstream", latency=60_000)
    client, server = embedded_line.open()
    client.setblocking(False)
    sent = 0
    deadline_s = time.monotonic() + 5
    quiet_since_s = time.monotonic()
    while time.monotonic() - quiet_since_s < 0.3 and time.monotonic() < deadline_s:
        try:
            sent += client.send(b"x" * 65536)
            quiet_since_s = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    received = _received_upstream(embedded_line)
    assert 1 << 19 <= received <= (1 << 20) + (1 << 15)
    embedded_line.relay.remove_toxic(embedded_line.name, name)
    assert len(receive(server, sent)) == sent


def _received_upstream(line: Line) -> int:
    text = ask(line.relay, "GET", "/metrics").text
    start = f'toxiproxy_proxy_received_bytes_total{{direction="upstream",proxy="{line.name}"'
    return int(next(found for found in text.splitlines() if found.startswith(start)).rpartition(" ")[2])
