"""A whole arena for tests: real processes on free ports, and clients over raw sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

ARENA = Path(__file__).parents[3] / "experiments" / "arena"
BOUND_S = 15.0
SEED = "7"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises AssertionError when it does not come true in time."""
    deadline = time.monotonic() + BOUND_S
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {BOUND_S:g} s"
        time.sleep(0.01)


class Deployment:
    """Ledger, world and two gateways; `defect` is planted in all of them."""

    def __init__(self, folder: Path, defect: str = "", hash_seed: str = "0") -> None:
        self.folder = folder
        self.data = folder / "world"
        self._env = {**os.environ, "ARENA_DEFECT": defect, "PYTHONHASHSEED": hash_seed}
        services = ("ledger", "world", "gateway-0", "gateway-1")
        names = (*services, *(f"{name}-status" for name in services))
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        at = self.at
        self._commands = {
            "ledger": ["ledger", "--status", at["ledger-status"], "--db", str(folder / "ledger.db")],
            "world": [
                *("world", "--status", at["world-status"], "--ledger", at["ledger"]),
                *("--data", str(self.data), "--seed", SEED),
            ],
            "gateway-0": ["gateway", "--status", at["gateway-0-status"], "--world", at["world"], "--index", "0"],
            "gateway-1": ["gateway", "--status", at["gateway-1-status"], "--world", at["world"], "--index", "1"],
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: list[Client] = []

    def __enter__(self) -> Deployment:
        for name in self._commands:
            self._launch(name)
        for name in self._commands:
            self._wait_for(name)
        return self

    def __exit__(self, *error: object) -> None:
        for client in self.clients:
            client.close()
        for process in self.running.values():
            process.kill()
            process.wait(BOUND_S)

    def start(self, name: str) -> None:
        self._launch(name)
        self._wait_for(name)

    def _wait_for(self, name: str) -> None:
        until(lambda: self.accepts(name), f"{name} listening")

    def _launch(self, name: str) -> None:
        service, *words = self._commands[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", f"arena.{service}", "--listen", self.at[name], *words],
                cwd=ARENA,
                env=self._env,
                stdout=log,
                stderr=log,
            )

    def accepts(self, name: str) -> bool:
        host, port = self.at[name].split(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait(BOUND_S)

    def end(self, name: str) -> int:
        self.running[name].send_signal(signal.SIGTERM)
        return self.running[name].wait(BOUND_S)

    def page(self, name: str, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.at[name]}/{path}", timeout=BOUND_S) as answer:
            return str(answer.read().decode())

    def gold(self) -> int:
        return int(json.loads(self.page("ledger-status", "totals"))["gold"])

    def client(self, gateway: int = 0) -> Client:
        client = Client(self.at[f"gateway-{gateway}"])
        self.clients.append(client)
        return client

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def replay(self, hash_seed: str = "0") -> list[dict[str, object]]:
        done = subprocess.run(
            [sys.executable, "-m", "arena.replay", "--log", str(self.data / "input.log"), "--seed", SEED],
            cwd=ARENA,
            env={**self._env, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            timeout=BOUND_S,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def digests(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.data / "digests.jsonl").read_bytes().splitlines()]


class Client:
    """A player at a keyboard."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), BOUND_S)
        self._lines = self._socket.makefile("rb")
        self.pushes: list[str] = []

    def tell(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self) -> str:
        while True:
            raw = self._lines.readline()
            assert raw.endswith(b"\n"), f"the connection ended with {raw!r}"
            line = raw.decode().rstrip("\n")
            if not line.startswith("* "):
                return line
            self.pushes.append(line)

    def ask(self, line: str) -> str:
        self.tell(line)
        return self.hear()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
