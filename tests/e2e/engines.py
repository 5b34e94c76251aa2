"""The engine as tests see it: what of a run is there, things of somebody else, and a way to it that can be cut."""

from __future__ import annotations

import os
import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from chaosctl.safety.engine import RUN_LABEL, Engine, of_run

BYSTANDER = "chaosctl-bystander"
# What changes something of containers or networks, in a line.
CHANGES = re.compile(r"(?:POST|PUT|DELETE) /(?:containers|networks)/[^ ]+")
_REQUEST = re.compile(rb"((?:GET|HEAD|POST|PUT|DELETE) \S+) HTTP/1\.1\r\n")


def containers(engine: Engine, run_id: str) -> list[str]:
    """Return the containers of a run."""
    return [one["Id"] for one in engine.ask("GET", "/containers/json", all=1, filters=of_run(run_id))]


def all_of(engine: Engine, run_id: str) -> list[str]:
    """Return the containers and networks of a run."""
    return containers(engine, run_id) + [one["Id"] for one in engine.ask("GET", "/networks", filters=of_run(run_id))]


def exit_code_of(engine: Engine, container: str, *argv: str) -> int:
    """Run a command in a container and return its exit code."""
    made = engine.ask("POST", f"/containers/{container}/exec", {"Cmd": argv, "AttachStdout": True})["Id"]
    with engine.open("POST", f"/exec/{made}/start", {"Detach": False}) as output:
        output.read()
    return int(engine.ask("GET", f"/exec/{made}/json")["ExitCode"])


def everything_of(engine: Engine, run_id: str) -> list[str]:
    """Return the containers, networks, volumes and images of a run."""
    volumes = engine.ask("GET", "/volumes", filters=of_run(run_id))["Volumes"] or ()
    images = [one["Id"] for one in engine.ask("GET", "/images/json", filters=of_run(run_id))]
    return all_of(engine, run_id) + [one["Name"] for one in volumes] + images


@contextmanager
def bystander(engine: Engine) -> Iterator[str]:
    """A container and a network of somebody else, labelled as another run is."""
    labels, name = {RUN_LABEL: "another-run"}, f"{BYSTANDER}-{os.getpid()}"
    network = engine.ask("POST", "/networks/create", {"Name": name, "Labels": labels})["Id"]
    wanted = {"Image": "debian:bookworm-slim", "Cmd": ["sleep", "1000"], "Labels": labels}
    container = str(engine.ask("POST", "/containers/create", wanted, name=name)["Id"])
    try:
        engine.ask("POST", f"/containers/{container}/start")
        yield container
    finally:
        engine.ask("DELETE", f"/containers/{container}", force=1)
        engine.ask("DELETE", f"/networks/{network}")


class Way:
    """A socket that leads to the engine's own, until it is cut: then the engine is gone, for who goes this way."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._open: set[socket.socket] = set()
        self.restore()

    def restore(self) -> None:
        """Let it lead there again."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Close it and all that goes over it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for end in tuple(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._engine.address)
            ends = {client: server, server: client}
            self._open |= ends.keys()
            with suppress(OSError):
                while all(self._pass_on(end, ends[end]) for end in select.select([*ends], [], [])[0]):
                    pass
            self._open -= ends.keys()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> bool:
        data = one.recv(65_536)
        self.seen(data)
        other.sendall(data)
        return bool(data)

    def seen(self, data: bytes) -> None:
        """Called with whatever goes over it."""


class WatchedWay(Way):
    """One that remembers what was asked of the engine: `POST /containers/...`, each once, in order."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.asked: dict[str, None] = {}
        super().__init__(path, engine)

    def seen(self, data: bytes) -> None:
        """Remember a request by its first line."""
        if (found := _REQUEST.match(data)) is not None:
            self.asked[unquote(found[1].decode())] = None
