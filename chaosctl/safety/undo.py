"""What undoes a fault, as data: a small vocabulary that is written to disk before the fault and played by anybody.

The runner, the keeper and `chaosctl restore` all heal through `play`, so the path that matters after a crash is the
one that every run exercises. Standard library only: the keeper must start at once.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from chaosctl.safety.burner_undo import BurnersUndo, end_burners
from chaosctl.safety.commands import run_command
from chaosctl.safety.container_undo import (
    ChainUndo,
    ContainerUndo,
    HostsUndo,
    LimitsUndo,
    QueueUndo,
    ReconnectUndo,
    StartUndo,
    play_on_container,
)
from chaosctl.safety.disk_undo import DiskAction, DiskUndo, FillerUndo, ThrottleUndo, WritableUndo, play_on_disk
from chaosctl.safety.engine import Engine, EngineError, remove_run
from chaosctl.safety.inside_undo import ClockUndo, DescriptorsUndo, InsideAction, play_inside
from chaosctl.safety.label import LABEL
from chaosctl.safety.own_group import GroupUndo, remove
from chaosctl.safety.processes import running, send_signal

# Removing containers takes the engine up to ten seconds, where their processes do not end.
_ENGINE_WITHIN_S = 30.0


@dataclass(frozen=True)
class SignalUndo:
    """Send `signal` (`SIGCONT`) to the process `pid`, if it is still the one that started at `start_ticks`
    (field 22 of /proc/PID/stat): a reused process id is left alone."""

    pid: int
    start_ticks: int
    signal: str
    do: Literal["signal"] = "signal"


@dataclass(frozen=True)
class HttpUndo:
    """Send a request to a relay's API. 404 counts as undone: what is gone needs no undoing."""

    method: str
    url: str
    body: Mapping[str, Any] | None = None
    do: Literal["http"] = "http"


@dataclass(frozen=True)
class UnpauseUndo:
    """Let a container of the engine at the address `engine` go on. One that is gone or runs needs no undoing."""

    engine: str
    container: str
    do: Literal["unpause"] = "unpause"


@dataclass(frozen=True)
class ContainersUndo:
    """Remove every container and network that carries the label of the run, by force. `relay` is the API of one that
    is among them: what was to be undone there goes with it."""

    engine: str
    run_id: str
    relay: str = ""
    do: Literal["containers"] = "containers"


@dataclass(frozen=True)
class CommandUndo:
    """Run a command that the operator gave, in the environment of whoever plays it (that is never written down). Exit
    code 0 means undone. It may be run again when nothing is left to undo, and must not mind that."""

    argv: tuple[str, ...]
    folder: str
    log_path: str
    within_s: float
    do: Literal["command"] = "command"

    def __post_init__(self) -> None:
        object.__setattr__(self, "argv", tuple(self.argv))  # JSON has lists only


OwnUndo = SignalUndo | HttpUndo | UnpauseUndo | ContainersUndo | CommandUndo | BurnersUndo | GroupUndo
Undo = OwnUndo | ContainerUndo | DiskAction | InsideAction
_KINDS: Mapping[str, Callable[..., Undo]] = {
    "burners": BurnersUndo,
    "group": GroupUndo,
    "signal": SignalUndo,
    "http": HttpUndo,
    "unpause": UnpauseUndo,
    "containers": ContainersUndo,
    "reconnect": ReconnectUndo,
    "chain": ChainUndo,
    "hosts": HostsUndo,
    "limits": LimitsUndo,
    "queue": QueueUndo,
    "disk": DiskUndo,
    "filler": FillerUndo,
    "throttle": ThrottleUndo,
    "writable": WritableUndo,
    "start": StartUndo,
    "command": CommandUndo,
    "descriptors": DescriptorsUndo,
    "clock": ClockUndo,
}


@dataclass(frozen=True)
class Played:
    """What came of an action: `done` when its effect holds now, and a sentence for people."""

    action: Undo
    done: bool
    text: str


def play(action: Undo, timeout_s: float = 2.0) -> Played:
    """Do it, or find that nothing is left to do. Idempotent, never raises for what the world answers.

    `timeout_s` bounds each wait for the network; a command has a bound of its own.
    """
    if isinstance(action, CommandUndo):
        return _play_command(action)
    if isinstance(action, SignalUndo):
        return _play_signal(action)
    if isinstance(action, InsideAction):
        return Played(action, *play_inside(action))
    if isinstance(action, BurnersUndo):
        return Played(action, *end_burners(action))
    if isinstance(action, GroupUndo):
        return Played(action, *remove(action))
    if isinstance(action, UnpauseUndo):
        return _play_unpause(action, timeout_s)
    if isinstance(action, ContainersUndo):
        return _play_containers(action)
    if isinstance(action, ContainerUndo):
        return Played(action, *play_on_container(action))
    if isinstance(action, DiskAction):
        return Played(action, *play_on_disk(action))
    return _play_http(action, timeout_s)


def to_json(action: Undo) -> dict[str, Any]:
    """Return the action as JSON-able data; `from_json` takes it back."""
    return asdict(action)


def from_json(data: Mapping[str, Any]) -> Undo:
    """Return the action that `to_json` gave. Raises ValueError for anything else."""
    try:
        # Runs of earlier versions have written the address of the engine under another name.
        return _KINDS[data["do"]](**{"engine" if name == "socket_path" else name: data[name] for name in data})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{dict(data)!r} is not an undo action") from error


def _play_signal(action: SignalUndo) -> Played:
    try:
        sent = send_signal(action.pid, action.start_ticks, signal.Signals[action.signal])
    except KeyError:
        return Played(action, False, f"{action.signal} is not a signal of this machine")
    except OSError as error:
        if running(action.pid, action.start_ticks) is not None:
            return Played(action, False, f"process {action.pid} did not take {action.signal}: {error.strerror}")
        sent = False
    if sent:
        return Played(action, True, f"sent {action.signal} to process {action.pid}")
    return Played(action, True, f"process {action.pid} has ended: nothing to undo")


def _play_unpause(action: UnpauseUndo, timeout_s: float) -> Played:
    container = action.container[:12]
    try:
        Engine(action.engine).ask("POST", f"/containers/{action.container}/unpause", None, timeout_s)
    except EngineError as error:
        if error.status == http.client.NOT_FOUND:
            return Played(action, True, f"container {container} is gone: nothing to undo")
        # Engines differ in the status by which they say so.
        if error.status is not None and ("not paused" in str(error) or "not running" in str(error)):
            return Played(action, True, f"container {container} is not paused: nothing to undo")
        return Played(action, False, f"container {container} was not unpaused: {error}")
    return Played(action, True, f"unpaused container {container}")


def _play_containers(action: ContainersUndo) -> Played:
    try:
        removed, left = remove_run(Engine(action.engine), action.run_id, _ENGINE_WITHIN_S)
    except EngineError as error:
        return Played(action, False, f"containers of run {action.run_id} may be left: {error}")
    if left:
        return Played(action, False, "; ".join(left))
    what = f"removed {removed} containers and networks" if removed else "no container or network is left"
    return Played(action, True, f"{what} of run {action.run_id}")


def _play_command(action: CommandUndo) -> Played:
    # Without the label: a server that it starts again is not a part of the run, which would be ended with it.
    env = {name: value for name, value in os.environ.items() if name != LABEL}
    ran = run_command(action.argv, action.folder, action.log_path, env, action.within_s)
    return Played(action, ran.code == 0, ran.text)


def _play_http(action: HttpUndo, timeout_s: float) -> Played:
    what = f"{action.method} {action.url}"
    try:
        try:
            status, reason = _request(action, timeout_s)
        except (ConnectionResetError, http.client.RemoteDisconnected):
            # A relay that is ended just now resets what it had accepted; asked again, it refuses. Undoing is
            # idempotent, so asking twice harms nothing.
            status, reason = _request(action, timeout_s)
    except ConnectionRefusedError:
        return _refused(action, what)
    except TimeoutError:
        return Played(action, False, f"{what}: no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Played(action, False, f"{what}: {error or type(error).__name__}")
    if status == http.client.NOT_FOUND:
        return Played(action, True, f"{what}: already gone")
    return Played(action, 200 <= status < 300, f"{what}: {status} {reason}")


def _request(action: HttpUndo, timeout_s: float) -> tuple[int, str]:
    # http.client and not urllib.request: a proxy named in the environment must not carry calls to a relay.
    parts = urlsplit(action.url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only http://HOST:PORT/... can be called")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    body = None if action.body is None else json.dumps(dict(action.body))
    # Toxiproxy answers 403 to agents that look like a browser, and wants to be told that a body is JSON.
    headers = {"User-Agent": "chaosctl"} | ({} if body is None else {"Content-Type": "application/json"})
    try:
        connection.request(action.method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.reason
    finally:
        connection.close()


def _refused(action: HttpUndo, what: str) -> Played:
    """A relay keeps its toxics in memory. On this machine a refusal means that no process listens there any more,
    not even a frozen one (its backlog would still accept), so the toxics are gone with it. Elsewhere a firewall may
    have refused."""
    host = urlsplit(action.url).hostname or ""
    if _is_loopback(host):
        return Played(action, True, f"{what}: the relay is gone, and its toxics with it")
    return Played(action, False, f"{what}: connection refused; whether the relay at {host} is gone is not known")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
