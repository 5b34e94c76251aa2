"""A line server in a thread, and everything that a swarm says."""

from __future__ import annotations

import socketserver
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaosctl.swarm.launcher import Swarm

BOTS = Path(__file__).parent / "bots"


class LineServer(socketserver.ThreadingTCPServer):
    """HELLO, BUY bot n, LOOK, LIST bot; LOSE drops what was bought, CUT cuts, MUTE never answers, DENY says NO."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LineHandler)
        self.bought: dict[str, list[int]] = defaultdict(list)
        self.seen: set[str] = set()
        self.peers: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class LineHandler(socketserver.StreamRequestHandler):
    server: LineServer

    def handle(self) -> None:
        for raw in self.rfile:
            word, *rest = raw.decode().split()
            if word == "CUT":
                return
            answer = self.answer(word, rest)
            if answer is not None:
                self.wfile.write(answer.encode() + b"\n")

    def answer(self, word: str, rest: list[str]) -> str | None:
        if word == "HELLO":
            known = rest[0] in self.server.seen
            self.server.seen.add(rest[0])
            self.server.peers.append(rest[0])
            return "PUSH welcome\n" + ("AGAIN" if known else "NEW")
        if word == "BUY":
            self.server.bought[rest[0]].append(int(rest[1]))
            return "OK"
        if word == "LIST":
            return ",".join(map(str, sorted(self.server.bought[rest[0]])))
        return {"LOOK": "NOTHING", "DENY": "NO"}.get(word)


class Heard:
    """Everything that a child said."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, Any]] = []

    def __call__(self, message: Mapping[str, Any]) -> None:
        self.messages.append(message)

    def of(self, event: str) -> list[Mapping[str, Any]]:
        return [message for message in self.messages if message["event"] == event]


def until(condition: Callable[[], Any], within_s: float = 15.0) -> Any:
    """Wait for a condition, and return what it gave. Fails when it does not come."""
    deadline_s = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "did not come in time"
        time.sleep(0.02)
    return found


StartSwarm = Callable[..., tuple[Swarm, Heard, Path]]
