"""What stands in for a Docker Engine in a dry run: it notes what would change something there, and answers as if it
had.

Questions are not noted, but for those about images: on their answers it depends whether there is a run at all.
"""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote

from chaosctl.runner.rehearsal.notes import Notes, request
from chaosctl.safety.engine import ANSWER_WITHIN_S, Engine

Tree = dict[str, Any]
# The only image that a run makes by itself is that of its relay.
MADE_IMAGE = "<image of the relay>"


@dataclass
class World:
    """What would be there: containers as the engine shows them, by id; networks, volumes and
    images by name. `called` are the
    ids that containers get, by their names. Of what the kernel would have, by container: the chains and rules of each
    table, the queues, and what was written to /etc/hosts."""

    containers: dict[str, Tree] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    called: dict[str, str] = field(default_factory=dict)
    chains: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    queues: dict[str, list[Tree]] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Let what is done meanwhile not have been done."""
        before = deepcopy(vars(self))
        yield
        vars(self).update(before)

    def add_container(self, id: str, networks: Mapping[str, Any], host: Mapping[str, Any]) -> None:
        """Have a container that runs on these networks, with these aliases there (`{"Aliases": [...]}` each)."""
        shown = {name: _endpoint(id, name, config) for name, config in networks.items()}
        state = {"Status": "running", "Running": True, "Restarting": False, "Pid": 0, "ExitCode": 0}
        settings = {"Networks": shown}
        self.containers[id] = {"Id": id, "State": state, "HostConfig": dict(host), "NetworkSettings": settings}


def _endpoint(id: str, network: str, config: Mapping[str, Any]) -> Tree:
    address = f"<address of {id.strip('<>')}>"
    return {"IPAddress": address, "Aliases": config.get("Aliases"), "Gateway": gateway_of(network)}


def gateway_of(network: str) -> str:
    """Return what stands for the address of the engine's machine on a network."""
    return f"<gateway of {network}>"


class _Said:
    """An answer, as a socket has it."""

    def __init__(self, body: bytes) -> None:
        self._data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def makefile(self, mode: str) -> io.BytesIO:
        """Return it to be read."""
        return io.BytesIO(self._data)


@dataclass(frozen=True)
class EngineStandIn(Engine):
    """An engine that is never asked anything."""

    notes: Notes
    world: World

    def open(
        self, method: str, path: str, /, body: Any = None, within_s: float | None = ANSWER_WITHIN_S, **query: Any
    ) -> http.client.HTTPResponse:
        """Note it, and answer."""
        path = unquote(path)
        if method != "GET" or path.removesuffix("/json").startswith("/images/"):
            asked = "&".join(f"{name}={value}" for name, value in query.items())
            self.notes.add(request(method, f"{path}?{asked}" if asked else path, _shown(body)) + _packed(body))
        said = _Said(json.dumps(self._answer(method, path, body, query)).encode())
        answer = http.client.HTTPResponse(cast(Any, said))
        answer.begin()
        return answer

    def _answer(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> Any:
        kind, _, rest = path.strip("/").partition("/")
        name, _, what = rest.rpartition("/")
        if method == "GET":
            return self._shows(kind, name or rest, rest)
        if path == "/containers/create":
            return {"Id": self._create(str(query.get("name", "")), body)}
        if path == "/images/create":
            self.world.images.append(MADE_IMAGE)
        elif path == "/networks/create":
            self.world.networks.append(body["Name"])
            return {"Id": body["Name"]}
        if method == "DELETE":
            self._remove(kind, rest)
        elif kind == "networks" and what in ("connect", "disconnect"):
            self._join(name, body, connected=what == "connect")
        elif kind == "containers" and what == "update":
            self.world.containers[name]["HostConfig"].update(body)
        return {"Id": "exec"}

    def _shows(self, kind: str, name: str, rest: str) -> Any:
        world = self.world
        if kind == "images" and rest != "json":
            id = name if name.startswith("<") else f"<image {name}>"
            return {"Id": id, "Config": {"Healthcheck": {"Test": ["CMD"]}}}
        if kind == "networks" and name:
            return {"IPAM": {"Config": [{"Subnet": f"<range of {name}>", "Gateway": gateway_of(name)}]}}
        if kind == "containers" and rest != "json":
            return world.containers.get(name, {})
        if kind == "volumes":
            return {"Volumes": [{"Name": one} for one in world.volumes]}
        return [{"Id": one} for one in getattr(world, kind, ())]

    def _create(self, name: str, body: Tree) -> str:
        id = self.world.called.get(name, "<relay>")
        self.world.add_container(id, body["NetworkingConfig"]["EndpointsConfig"], body["HostConfig"])
        volumes = [one["Source"] for one in body["HostConfig"].get("Mounts", ()) if one["Type"] == "volume"]
        self.world.volumes += [one for one in volumes if one not in self.world.volumes]
        return id

    def _remove(self, kind: str, name: str) -> None:
        if kind == "containers":
            self.world.containers.pop(name, None)
        elif name in (there := getattr(self.world, kind)):
            there.remove(name)

    def _join(self, network: str, body: Tree, *, connected: bool) -> None:
        joined = self.world.containers[body["Container"]]["NetworkSettings"]["Networks"]
        if connected:
            joined[network] = _endpoint(body["Container"], network, body["EndpointConfig"])
        else:
            joined.pop(network, None)


def _shown(body: Any) -> Any:
    """Return what is shown of a body: of an environment the names, for its values may be secrets."""
    if not isinstance(body, Mapping):
        return None
    return {**body, "Env": [one.partition("=")[0] for one in body["Env"]]} if "Env" in body else body


def _packed(body: Any) -> str:
    return " (an archive)" if isinstance(body, bytes) else ""
