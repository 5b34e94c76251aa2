"""Playing undo actions: idempotent, and honest about what was not undone."""

from __future__ import annotations

import http.server
import json
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.safety.container_undo import StartUndo
from chaosctl.safety.processes import look
from chaosctl.safety.undo import CommandUndo, HttpUndo, SignalUndo, Undo, UnpauseUndo, from_json, play, to_json
from tests.safety.engine import FakeEngine, listening

_TEXT = st.text(max_size=20)
_ACTIONS = st.one_of(
    st.builds(SignalUndo, st.integers(1, 1 << 22), st.integers(0, 1 << 40), _TEXT),
    st.builds(CommandUndo, st.lists(_TEXT).map(tuple), _TEXT, _TEXT, st.floats(0.1, 60.0)),
    st.builds(HttpUndo, _TEXT, _TEXT, st.none() | st.dictionaries(_TEXT, st.integers() | _TEXT | st.booleans())),
)


@given(_ACTIONS)
def test_json_and_back(action: Undo) -> None:
    assert from_json(json.loads(json.dumps(to_json(action)))) == action


@pytest.mark.parametrize("data", [{}, {"do": "dance"}, {"do": "signal"}, {"do": "http", "method": "GET", "urn": ""}])
def test_what_is_no_action(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not an undo action"):
        from_json(data)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def ticks_of(pid: int) -> int:
    process = look(pid)
    assert process is not None
    return process.start_ticks


def test_a_signal_reaches_its_process_and_a_dead_one_needs_none(sleeper: subprocess.Popen[bytes]) -> None:
    action = SignalUndo(sleeper.pid, ticks_of(sleeper.pid), "SIGTERM")
    assert play(action).done
    assert sleeper.wait(10) == -15
    again = play(action)
    assert again.done
    assert again.text == f"process {sleeper.pid} has ended: nothing to undo"


def test_a_zombie_needs_no_signal(sleeper: subprocess.Popen[bytes]) -> None:
    ticks = ticks_of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert "nothing to undo" in play(SignalUndo(sleeper.pid, ticks, "SIGCONT")).text


def test_a_reused_process_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    played = play(SignalUndo(sleeper.pid, ticks_of(sleeper.pid) - 1, "SIGKILL"))
    assert played.done
    assert "nothing to undo" in played.text
    assert sleeper.poll() is None


def test_a_signal_that_does_not_exist(sleeper: subprocess.Popen[bytes]) -> None:
    played = play(SignalUndo(sleeper.pid, ticks_of(sleeper.pid), "SIGNONE"))
    assert not played.done
    assert played.text == "SIGNONE is not a signal of this machine"


class Api(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, str, str | None, bytes]]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("User-Agent"), body))
        self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()

    do_DELETE = do_PATCH = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    Api.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "done"), [(200, True), (204, True), (404, True), (400, False), (409, False), (503, False)]
)
def test_what_an_api_answers(api: str, status: int, done: bool) -> None:
    played = play(HttpUndo("DELETE", f"{api}/proxies/p/toxics/{status}"))
    assert played.done is done
    assert Api.seen == [("DELETE", f"/proxies/p/toxics/{status}", "chaosctl", b"")]


def test_a_body_is_sent_as_json(api: str) -> None:
    assert play(HttpUndo("PATCH", f"{api}/proxies/p/200", {"enabled": True})).done
    assert Api.seen == [("PATCH", "/proxies/p/200", "chaosctl", b'{"enabled": true}')]


def test_no_proxy_of_the_environment_is_asked(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert play(HttpUndo("DELETE", f"{api}/200")).done


def test_a_relay_that_is_gone_took_its_toxics_along() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        played = play(HttpUndo("DELETE", f"http://127.0.0.1:{unheard.getsockname()[1]}/proxies/p"))
    assert played.done
    assert played.text.endswith("the relay is gone, and its toxics with it")


def test_a_frozen_relay_is_not_undone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        played = play(HttpUndo("DELETE", f"http://127.0.0.1:{frozen.getsockname()[1]}/proxies/p"), timeout_s=0.1)
    assert not played.done
    assert played.text.endswith("no answer within 0.1 s")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://127.0.0.1:port/x", "nonsense"])
def test_an_address_that_cannot_be_called(url: str) -> None:
    assert not play(HttpUndo("DELETE", url)).done


def test_a_relay_that_is_ended_in_the_middle_of_the_call_is_gone() -> None:
    """It resets what it had accepted, and refuses the next call."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def end() -> None:
        peer, _ = listener.accept()
        peer.recv(1)
        listener.close()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    ending = threading.Thread(target=end)
    ending.start()
    played = play(HttpUndo("DELETE", f"http://127.0.0.1:{port}/proxies/a"), timeout_s=5.0)
    ending.join()
    assert played.done, played.text
    assert "the relay is gone" in played.text


def test_what_an_earlier_version_has_written_about_containers_is_read() -> None:
    written = {"do": "unpause", "socket_path": "/run/engine.sock", "container": "c1"}
    assert from_json(written) == UnpauseUndo("/run/engine.sock", "c1")


@pytest.mark.parametrize(
    ("state", "done", "text"),
    [
        ((200, {"State": {"Running": True}}), True, "container c1 runs: nothing to undo"),
        ((200, {"State": {"Running": False}}), True, "started container c1 again"),
        ((404, {"message": "no such container"}), True, "container c1 is gone: nothing to start"),
        ((500, {"message": "no dragon"}), False, "container c1: no dragon"),
    ],
)
def test_what_ran_runs_again(tmp_path: Path, state: tuple[int, Any], done: bool, text: str) -> None:
    fake = FakeEngine(tmp_path / "engine.sock")
    fake.says["GET", "/containers/c1/json"] = state
    fake.says["POST", "/containers/c1/start"] = (204, None)
    action = StartUndo(str(fake.path), "c1")
    assert from_json(to_json(action)) == action
    with listening(fake):
        played = play(action)
    assert (played.done, played.text) == (done, text)
    assert ("POST /containers/c1/start" in fake.asked) is ("started" in text)
