"""The containers of a compose project, as the engine has them: found by the labels that compose gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.safety.engine import Engine

PROJECT_LABEL = "com.docker.compose.project"
_SERVICE_LABEL = "com.docker.compose.service"
_NUMBER_LABEL = "com.docker.compose.container-number"
_ONE_OFF_LABEL = "com.docker.compose.oneoff"


@dataclass(frozen=True)
class Found:
    """One container of a project. `network` is its main one, `policy` its restart policy, `published` where the ports
    of its inside are found on this machine, by number."""

    id: str
    service: str
    number: int
    status: str
    network: str
    image: str
    image_id: str
    policy: str
    terminal: bool
    health: bool
    published: Mapping[int, str]
    networks: Mapping[str, str]

    @property
    def is_up(self) -> bool:
        """Whether it runs, and is not paused."""
        return self.status == "running"

    def address(self, number: int) -> str:
        """Return where this machine reaches a port of it: where it is published, else at its own address."""
        return self.published.get(number) or f"{self.networks.get(self.network, '')}:{number}"


def find_containers(engine: Engine, project: str) -> Mapping[str, tuple[Found, ...]]:
    """Return the containers of a project by service, those of a service by their number. Raises EngineError."""
    labels = [f"{PROJECT_LABEL}={project}", f"{_ONE_OFF_LABEL}=False"]
    listed = engine.ask("GET", "/containers/json", all=1, filters=json.dumps({"label": labels})) or []
    found: dict[str, list[Found]] = {}
    for one in listed:
        made = _found(engine.ask("GET", f"/containers/{one['Id']}/json"))
        found.setdefault(made.service, []).append(made)
    return {service: tuple(sorted(those, key=lambda one: one.number)) for service, those in found.items()}


def projects(engine: Engine) -> tuple[str, ...]:
    """Return the names of all projects that have containers. Raises EngineError."""
    listed = engine.ask("GET", "/containers/json", all=1, filters=json.dumps({"label": [PROJECT_LABEL]})) or []
    return tuple(sorted({str(one["Labels"][PROJECT_LABEL]) for one in listed}))


def _found(said: Mapping[str, Any]) -> Found:
    config, host, settings = said["Config"], said["HostConfig"], said["NetworkSettings"]
    labels, networks = config["Labels"], settings.get("Networks") or {}
    main = str(host.get("NetworkMode") or "")
    return Found(
        id=str(said["Id"]),
        service=str(labels.get(_SERVICE_LABEL, "")),
        number=int(labels.get(_NUMBER_LABEL, 1)),
        status=str(said["State"]["Status"]),
        network=main if main in networks else next(iter(networks), ""),
        image=str(config.get("Image")),
        image_id=str(said.get("Image")),
        policy=str((host.get("RestartPolicy") or {}).get("Name") or "no"),
        terminal=bool(config.get("Tty")),
        health=_has_health_check(config),
        published=_published(settings.get("Ports") or {}),
        networks={name: str((one or {}).get("IPAddress") or "") for name, one in networks.items()},
    )


def _has_health_check(config: Mapping[str, Any]) -> bool:
    test = (config.get("Healthcheck") or {}).get("Test") or []
    return bool(test) and test[0] != "NONE"


def _published(ports: Mapping[str, Any]) -> Mapping[int, str]:
    """Return `host:port` by TCP port; what is published at every address of this machine is taken on loopback."""
    found = {}
    for name, bindings in ports.items():
        number, _, protocol = name.partition("/")
        for one in (bindings or ()) if protocol == "tcp" else ():
            host = one.get("HostIp") or "0.0.0.0"
            if ":" not in host:  # the same again for IPv6
                found[int(number)] = f"{'127.0.0.1' if host == '0.0.0.0' else host}:{one['HostPort']}"
    return found
