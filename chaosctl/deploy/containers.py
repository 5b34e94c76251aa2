"""Replicas as containers of an engine: one container each, started again as long as its version stays.

Its output is followed by a thread of ours, which also sees its end; so logs are bounded and ends are noticed as those
of processes are. The engine's own restart policies are off: chaosctl plays `restart`, so that `after` and `at_most`
mean the same for both drivers, and a fault can hold a replica down.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, HTTPResponse
from typing import Any

from chaosctl.deploy.contract import Replica
from chaosctl.deploy.launcher import LOG_LIMIT_BYTES, Command
from chaosctl.deploy.remote_state import fetch, let_all_write, volume
from chaosctl.errors import NotReadyError
from chaosctl.safety.bounded_log import BoundedLog
from chaosctl.safety.container import Container
from chaosctl.safety.engine import RUN_LABEL, Engine, EngineError
from chaosctl.safety.exits import Exit, ExitNotice, signal_name
from chaosctl.safety.keeper_client import Spawned
from chaosctl.safety.processes import look, running
from chaosctl.safety.undo import Undo, UnpauseUndo

STATE = "/chaosctl/state"
# What a shell and the engine add to a signal's number to make an exit code of it; the highest signal is 64.
_BY_SIGNAL = range(129, 193)
_CHUNK_BYTES = 65_536
# The frame of a log (docs.docker.com/reference/api/engine, "Attach to a container"): stream, three zeros, length.
_HEADER_BYTES = 8
_NAME_FREE_WITHIN_S = 5.0
# The engine keeps its own copy, for `docker logs`, bounded too.
_ENGINE_LOG = {"Type": "json-file", "Config": {"max-size": "8m", "max-file": "2"}}


@dataclass(frozen=True)
class Box:
    """A replica's container, its main network, and what it was made from. On a terminal its output has no frames."""

    id: str
    network: str
    command: Command
    terminal: bool = False


@dataclass(frozen=True)
class Setting:
    """What all containers of a run have in common: the run, its network, the numbers of their ports inside."""

    run_id: str
    network: str
    inner_port: Callable[[Replica, str], int]


class ContainerLauncher:
    """Implements `deploy.launcher.Launcher`. `post` is told of every end, `on_gone` when the engine itself is gone."""

    def __init__(
        self, engine: Engine, setting: Setting, post: Callable[[ExitNotice], None], on_gone: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._setting = setting
        self._post = post
        self._on_gone = on_gone
        self._boxes: dict[str, Box] = {}
        self._logs: dict[str, BoundedLog] = {}
        # A container that ended before anybody could look has no process id any more, but its end needs a name.
        self._unseen = itertools.count(-1, -1)

    def start(self, replica: Replica, command: Command) -> Spawned:
        """Make its container where there is none of this version yet, and start it."""
        box = self._box(replica, command)
        output = self._open("POST", f"/containers/{box.id}/attach", stream=1, stdout=1, stderr=1)
        try:
            self._ask("POST", f"/containers/{box.id}/start")
            process = self._process(box.id)
        except EngineError:
            output.close()
            raise
        follow = (replica, box.id, process, output)
        threading.Thread(target=self._follow, args=follow, name=f"{replica.name} output", daemon=True).start()
        return process

    def send(self, replica: Replica, process: Spawned, name: str) -> bool:
        """Have the engine send it to the main process."""
        try:
            self._ask("POST", f"/containers/{self._boxes[replica.name].id}/kill", signal=name)
        except EngineError as error:
            if error.status in (404, 409):
                return False
            raise NotReadyError(f"{replica.name} did not take {name}: {error}") from error
        return True

    def runs(self, replica: Replica, process: Spawned) -> bool:
        """Look at it in /proc; where that is another machine's, ask the engine."""
        if not self._engine.is_remote:
            return running(process.pid, process.start_ticks) is not None
        return process.pid > 0 and _identity(self.state(replica)) == process

    def clear_away(self, process: Spawned) -> None:
        """Do nothing: with its main process the kernel ends all others of a container."""

    def alive(self, process: Spawned) -> tuple[int, ...]:
        """Return the main process, if it runs here."""
        return (process.pid,) if running(process.pid, process.start_ticks) else ()

    def container(self, replica: Replica) -> Container | None:
        """Return its container, None before its first start."""
        if (box := self._boxes.get(replica.name)) is None:
            return None
        ports = {port: self._setting.inner_port(replica, port) for port in replica.ports}
        return Container(self._engine.address, box.id, box.network, ports)

    def freeze(self, replica: Replica, process: Spawned) -> None:
        """Have the engine pause it: all its processes, by the kernel's freezer."""
        try:
            self._ask("POST", f"/containers/{self._boxes[replica.name].id}/pause")
        except EngineError as error:
            if "already paused" not in str(error):
                raise NotReadyError(f"{replica.name} cannot be paused: {error}") from error

    def thaw(self, replica: Replica, process: Spawned) -> None:
        """Have the engine let it go on."""
        try:
            self._ask("POST", f"/containers/{self._boxes[replica.name].id}/unpause")
        except EngineError as error:
            if error.status is None:
                raise

    def thawing(self, replica: Replica, process: Spawned) -> tuple[Undo, ...]:
        """Return an unpause, as data."""
        return (UnpauseUndo(self._engine.address, self._boxes[replica.name].id),)

    def frozen(self, replica: Replica, process: Spawned) -> bool:
        """Ask the engine."""
        return bool(self.state(replica).get("Paused"))

    def state(self, replica: Replica) -> Mapping[str, Any]:
        """Return what the engine says of its container (`State` of an inspection); nothing when it is gone."""
        try:
            return dict(self._inspect(replica)["State"])
        except EngineError:
            return {}

    def address(self, replica: Replica) -> str:
        """Return its container's address on its main network, while it runs."""
        try:
            networks = self._inspect(replica)["NetworkSettings"]["Networks"]
        except EngineError:
            return ""
        return str((networks.get(self._boxes[replica.name].network) or {}).get("IPAddress") or "")

    def execute(self, replica: Replica, argv: tuple[str, ...], within_s: float) -> int | None:
        """Run a command inside and return its exit code; None when it does not end in time. Raises EngineError."""
        wanted = {"Cmd": list(argv), "AttachStdout": True, "AttachStderr": True}
        made = self._ask("POST", f"/containers/{self._boxes[replica.name].id}/exec", wanted)
        try:
            with self._engine.open("POST", f"/exec/{made['Id']}/start", {"Detach": False}, within_s) as output:
                while output.read(_CHUNK_BYTES):
                    pass
        except (OSError, HTTPException):
            return None
        code = self._ask("GET", f"/exec/{made['Id']}/json")["ExitCode"]
        return None if code is None else int(code)

    def fetch_state(self, replica: Replica) -> None:
        """Copy what is in its volume to its folder on this machine. Raises NotReadyError."""
        if (box := self._boxes.get(replica.name)) is not None:
            fetch(self._engine, box.id, STATE, replica.state_dir)

    def close(self) -> None:
        """Close the logs: nothing is written to them any more."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    # -- within

    def _box(self, replica: Replica, command: Command) -> Box:
        """Return its container for this command: the one that is there, or a new one. Raises EngineError."""
        box = self._boxes.get(replica.name)
        if box is not None and (box.command is not command or self._is_going(replica)):
            with suppress(EngineError):  # somebody else has removed it, or is at it
                self._ask("DELETE", f"/containers/{box.id}", force=1, v=1)
            box = None
        if box is None:
            box = Box(self._created(replica, command), self._setting.network, command)
            self._boxes[replica.name] = box
        return box

    def _is_going(self, replica: Replica) -> bool:
        """Say whether its container is gone, or somebody else is removing it."""
        return self.state(replica).get("Status", "dead") in ("removing", "dead")

    def _created(self, replica: Replica, command: Command) -> str:
        """Make a container, also where the one before it still has its name for a moment. Raises EngineError."""
        end_s = time.monotonic() + _NAME_FREE_WITHIN_S
        while True:
            try:
                return self._create(replica, command)
            except EngineError as error:
                if error.status != 409 or time.monotonic() > end_s:
                    raise
                time.sleep(0.05)

    def _create(self, replica: Replica, command: Command) -> str:
        """Return the id of a new container."""
        numbers = {port: f"{self._setting.inner_port(replica, port)}/tcp" for port in replica.ports}
        published = {
            numbers[port]: [{"HostIp": address.rpartition(":")[0], "HostPort": address.rpartition(":")[2]}]
            for port, address in replica.ports.items()
        }
        labels = {RUN_LABEL: self._setting.run_id, "chaosctl.service": replica.service}
        wanted = {
            "Image": command.image,
            **({"Cmd": list(command.argv)} if command.argv else {}),
            "Env": [f"{name}={value}" for name, value in command.env.items()],
            "Labels": {**labels, "chaosctl.replica": str(replica.index)},
            "ExposedPorts": {number: {} for number in numbers.values()},
            "HostConfig": {
                "NetworkMode": self._setting.network,
                "PortBindings": published,
                "LogConfig": _ENGINE_LOG,
                "Mounts": [self._state_of(replica)],
            },
            "NetworkingConfig": {"EndpointsConfig": {self._setting.network: {"Aliases": aliases(replica)}}},
        }
        name = f"chaosctl-{self._setting.run_id}-{replica.service}-{replica.index}"
        made = str(self._ask("POST", "/containers/create", wanted, name=name)["Id"])
        if self._engine.is_remote:
            let_all_write(self._engine, made, STATE)
        return made

    def _state_of(self, replica: Replica) -> Mapping[str, Any]:
        if self._engine.is_remote:
            return volume(self._setting.run_id, replica, STATE)
        return {"Type": "bind", "Source": str(replica.state_dir), "Target": STATE}

    def _process(self, container: str) -> Spawned:
        """Return its main process, as this machine sees it, or as the engine of another one does."""
        state = self._ask("GET", f"/containers/{container}/json")["State"]
        if self._engine.is_remote:
            seen = _identity(state)
        else:
            process = look(int(state["Pid"])) if state["Pid"] else None
            seen = None if process is None else Spawned(process.pid, process.start_ticks)
        return seen or Spawned(next(self._unseen), 0)

    def _follow(self, replica: Replica, container: str, process: Spawned, output: HTTPResponse) -> None:
        """Write what it prints to its log until it ends, and say how that was."""
        log = self._logs.setdefault(replica.name, BoundedLog(replica.log_path, LOG_LIMIT_BYTES))
        try:
            for data in _pieces(output) if self._boxes[replica.name].terminal else _frames(output):
                log.write(data)
        except (OSError, HTTPException):
            pass  # the engine is gone: asked next, it does not answer
        finally:
            output.close()
        at_ns = time.monotonic_ns()
        try:
            code = self._code(container, process)
        except EngineError as error:
            if error.status is None:
                return
            code = None  # somebody else has removed it
        how = Exit(at_ns, None, None) if code is None else exit_of(at_ns, code)
        self._post(ExitNotice(replica.name, process.pid, how))

    def _code(self, container: str, process: Spawned) -> int | None:
        """Wait until that process has ended, and return its code; None when somebody else has started another one in
        its container meanwhile. A program may close its output long before it ends. Raises EngineError."""
        pause_s = 0.01
        while True:
            state = self._ask("GET", f"/containers/{container}/json")["State"]
            # One that the engine is about to start again counts as running too.
            if not state["Running"] or state.get("Restarting"):
                return int(state["ExitCode"])
            if process.pid > 0 and state["Pid"] != process.pid:
                return None
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.5)

    def _inspect(self, replica: Replica) -> Mapping[str, Any]:
        return dict(self._ask("GET", f"/containers/{self._boxes[replica.name].id}/json"))

    def _ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        try:
            return self._engine.ask(method, path, body, **query)
        except EngineError as error:
            self._note(error)
            raise

    def _open(self, method: str, path: str, **query: Any) -> HTTPResponse:
        try:
            return self._engine.open(method, path, None, None, **query)
        except EngineError as error:
            self._note(error)
            raise

    def _note(self, error: EngineError) -> None:
        if error.status is None:
            self._on_gone(str(error))


def _identity(state: Mapping[str, Any]) -> Spawned | None:
    """Return the main process by the engine's word (`State` of an inspection), None while it is down: its id on that
    machine, and when it was started in µs."""
    if not state.get("Running") or not state.get("Pid"):
        return None
    began = datetime.fromisoformat(state["StartedAt"])
    return Spawned(int(state["Pid"]), round(began.timestamp() * 1_000_000))


def aliases(replica: Replica) -> list[str]:
    """Return its names on the run's network: `world-0`, and `world` for whichever replica is found first."""
    return [f"{replica.service}-{replica.index}", replica.service]


def exit_of(at_ns: int, code: int) -> Exit:
    """Return how a container ended. The engine says 128 + n for the signal n, and cannot tell it from such a code."""
    return Exit(at_ns, None, signal_name(code - 128)) if code in _BY_SIGNAL else Exit(at_ns, code, None)


def _pieces(output: HTTPResponse) -> Iterator[bytes]:
    """Yield what comes, as it comes. Raises OSError, HTTPException."""
    while data := output.read1(_CHUNK_BYTES):
        yield data


def _frames(output: HTTPResponse) -> Iterator[bytes]:
    """Yield what is in the frames of a log, as it comes. Raises OSError, HTTPException."""
    unread, left = b"", 0
    while data := output.read1(_CHUNK_BYTES):
        unread += data
        while unread:
            if left == 0:
                if len(unread) < _HEADER_BYTES:
                    break
                left = int.from_bytes(unread[4:_HEADER_BYTES], "big")
                unread = unread[_HEADER_BYTES:]
            part, unread = unread[:left], unread[left:]
            left -= len(part)
            if part:
                yield part
