"""The override file of a run: what is laid over a compose file, which stays as it is. Pure but for writing it.

Everything that compose makes carries the run's label; ports are published on loopback at numbers of the run's own, and
at no others; names that the file chooses give way to names of the run; the clients of a link find the relay where the
file says that the service is, at the very port (`extra_hosts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tag import Tag

from chaosctl.experiment.model import Target
from chaosctl.safety.engine import RUN_LABEL
from chaosctl.safety.ports import LOOPBACK

Tree = dict[str, Any]
Place = tuple[int, int]
"""Where a relay listens: which of the run's addresses, and the port."""


@dataclass(frozen=True)
class Member:
    """What a service of the compose file is to the experiment: the service, and which of its replicas."""

    service: str
    indexes: tuple[int, ...]


@dataclass(frozen=True)
class Parts:
    """What the run adds: `relays` are the addresses by link and replica, `published` the numbers on loopback by service
    of the file and port (a row of them, one a replica), `states` the folders that are mounted, by such a service,
    `names` those under which they are found (see `names_of`)."""

    run_id: str
    project: str
    takes_away: bool
    relays: Mapping[tuple[str, int], str]
    published: Mapping[tuple[str, str], tuple[int, ...]]
    states: Mapping[str, Path]
    names: Mapping[str, tuple[str, ...]]


def members_of(target: Target) -> Mapping[str, Member]:
    """Return what the services of the compose file are, by their names there."""
    found: dict[str, Member] = {}
    for name, service in target.services.items():
        if service.compose_services:
            found |= {part: Member(name, (index,)) for index, part in enumerate(service.compose_services)}
        else:
            found[name] = Member(name, tuple(range(service.replicas)))
    return found


def wrong_with(config: Mapping[str, Any], target: Target, takes_away: bool) -> Iterator[str]:
    """Yield why this target cannot be made from what compose says, a sentence each with the mend."""
    services = _of(config, "services")
    for name, member in members_of(target).items():
        if (said := services.get(name)) is None:
            known = ", ".join(services) or "none"
            yield f"the compose file has no service '{name}'; it has: {known} (a profile may hide others)"
            continue
        service, is_client = target.services[member.service], _is_client(member.service, target)
        if (mode := said.get("network_mode")) and (service.ports or is_client):
            yield f"'{name}' uses `network_mode: {mode}`, so no port of it can be led to the run; leave its ports out"
        if (own := replicas_of(said)) != len(member.indexes) and "replicas" not in service.model_fields_set:
            yield f"the compose file runs {own} replicas of '{name}'; write `replicas: {own}` for it in the experiment"
        if is_client and _is_cut_off(said, _of(config, "networks")):
            yield f"'{name}' is on internal networks only, where it reaches no relay; leave out the links from it"
    if not takes_away:
        for name, said in services.items():
            if any(_published(one) for one in said.get("ports") or ()):
                text = f"'{name}' publishes ports, which this version of compose cannot keep to the run"
                yield f"{text}; use compose 2.24.4 or newer, or leave `ports` out of the file"


def replicas_of(said: Mapping[str, Any]) -> int:
    """Return how many replicas the file says."""
    return int(said.get("scale") or (said.get("deploy") or {}).get("replicas") or 1)


def relay_places(target: Target) -> Mapping[tuple[str, int], Place]:
    """Return where the relay of each link between services and of each replica that it leads to listens: at the port's
    own number. A client finds each replica at one address, which is another one where somebody else has such ports."""
    units: dict[tuple[str, str, int], list[tuple[str, int]]] = {}
    for name, link in target.links.items():
        if link.from_service is not None:
            port = target.services[link.to].container_ports[link.port or target.services[link.to].ports[0]]
            for index in range(target.services[link.to].replicas):
                units.setdefault((link.from_service, link.to, index), []).append((name, port))
    found: dict[tuple[str, int], Place] = {}
    claimed: set[Place] = set()
    for (_, to, index), links in units.items():
        ports = set(target.services[to].container_ports.values())
        address = next(n for n in range(len(units)) if claimed.isdisjoint((n, port) for port in ports))
        claimed |= {(address, port) for port in ports}
        found |= {(name, index): (address, port) for name, port in links}
    return found


def override(config: Mapping[str, Any], target: Target, parts: Parts) -> Tree:
    """Return the file as data."""
    images = _images(config, parts)
    label = {RUN_LABEL: parts.run_id}
    services = {
        name: {"labels": dict(label), **_service(name, said, target, parts, images)}
        for name, said in _of(config, "services").items()
    }
    made: Tree = {"services": services}
    for kind in ("networks", "volumes"):
        # The network that all are on which name none is not always listed.
        every = {**({"default": {}} if kind == "networks" else {}), **_of(config, kind)}
        own = {
            name: {"labels": dict(label), **_renamed(name, said, parts)}
            for name, said in every.items()
            if not (said or {}).get("external")
        }
        if own:
            made[kind] = own
    return made


def as_yaml(tree: Tree) -> str:
    """Return the text of the file."""
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.dump(tree, text)
    about = "# Laid over the compose file for one run; see both with `docker compose -f FILE -f THIS-FILE config`\n"
    return about + text.getvalue()


def _service(name: str, said: Mapping[str, Any], target: Target, parts: Parts, images: Mapping[str, str]) -> Tree:
    made: Tree = {}
    if said.get("build") is not None:
        made["build"] = {"labels": {RUN_LABEL: parts.run_id}}
    image = str(said.get("image") or (name if said.get("build") is not None else ""))
    if image in images:
        made["image"] = images[image]
    if parts.takes_away:
        # A run must not depend on what a registry has today, and nobody but the run has the images that it builds.
        made["pull_policy"] = "build" if "build" in made else "never"
    made |= _ports(name, said, target, parts) | _container_name(name, said, parts) | _restart(name, said, target)
    if hosts := list(dict.fromkeys(_hosts(name, target, parts))):
        made["extra_hosts"] = hosts
    if name in parts.states:
        source = str(parts.states[name]).replace("$", "$$")
        inside = target.services[members_of(target)[name].service].state
        # It is there, and said so has compose name it in a way that bears a colon.
        bind = {"create_host_path": False}
        made["volumes"] = [{"type": "bind", "source": source, "target": inside, "bind": bind}]
    return made


def _ports(name: str, said: Mapping[str, Any], target: Target, parts: Parts) -> Tree:
    member = members_of(target).get(name)
    numbers = target.services[member.service].container_ports if member is not None else {}
    rows = {port: parts.published[name, port] for port in numbers if (name, port) in parts.published}
    ports = [f"{LOOPBACK}:{_range(row)}:{numbers[port]}" for port, row in rows.items()]
    if not parts.takes_away:
        return {"ports": ports} if ports else {}
    return {"ports": _tagged("!override", ports)} if ports or said.get("ports") else {}


def _container_name(name: str, said: Mapping[str, Any], parts: Parts) -> Tree:
    if not said.get("container_name"):
        return {}
    return {"container_name": _tagged("!reset", []) if parts.takes_away else f"{parts.project}-{name}"}


def _restart(name: str, said: Mapping[str, Any], target: Target) -> Tree:
    """What the experiment says takes the place of the file's own policy."""
    member = members_of(target).get(name)
    if member is None or target.services[member.service].restart is None:
        return {}
    made: Tree = {"restart": DoubleQuotedScalarString("no")}
    if parts := (said.get("deploy") or {}).get("restart_policy"):
        made["deploy"] = {"restart_policy": {**parts, "condition": "none"}}
    return made


def _hosts(name: str, target: Target, parts: Parts) -> Iterator[str]:
    members = members_of(target)
    for link_name, link in target.links.items():
        if name not in members or link.from_service != members[name].service:
            continue
        for server, member in members.items():
            for index in member.indexes if member.service == link.to else ():
                host = parts.relays[link_name, index].rpartition(":")[0]
                yield from (f"{called}:{host}" for called in parts.names[server])


def images_needed(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the images that have to be there: those that are used and not built."""
    services = _of(config, "services").values()
    built = {str(one.get("image")) for one in services if one.get("build") is not None}
    used = (str(one["image"]) for one in services if one.get("build") is None and one.get("image"))
    return tuple(sorted({*used} - built))


def names_of(config: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return under which names each service is found by others."""
    found = {}
    for name, said in _of(config, "services").items():
        networks = said.get("networks")
        every = networks.values() if isinstance(networks, Mapping) else ()
        aliases = [alias for one in every for alias in (one or {}).get("aliases") or ()]
        found[name] = tuple(dict.fromkeys((name, *filter(None, (said.get("container_name"),)), *aliases)))
    return found


def _images(config: Mapping[str, Any], parts: Parts) -> Mapping[str, str]:
    """Return names of the run's own for the images that are built, by the names that the file has for them."""
    return {
        str(said.get("image") or name): f"{parts.project}-{name.lower()}"
        for name, said in _of(config, "services").items()
        if said.get("build") is not None
    }


def _renamed(name: str, said: Mapping[str, Any] | None, parts: Parts) -> Tree:
    """A name that the file chooses would be that of every run, and of what runs beside them."""
    given = (said or {}).get("name")
    usual = f"{parts.project}_{name}"
    return {} if given in (None, usual) else {"name": usual}


def _is_client(name: str, target: Target) -> bool:
    return any(link.from_service == name for link in target.links.values())


def _is_cut_off(said: Mapping[str, Any], networks: Mapping[str, Any]) -> bool:
    on = list(said.get("networks") or {"default": None})
    return all((networks.get(one) or {}).get("internal") for one in on)


def _published(port: Any) -> bool:
    """Version 1 says `8080:80` for a port in short."""
    return bool(port.get("published")) if isinstance(port, Mapping) else ":" in str(port)


def _range(row: Iterable[int]) -> str:
    first, *rest = row
    return f"{first}-{rest[-1]}" if rest else str(first)


def _tagged(tag: str, items: Iterable[str]) -> CommentedSeq:
    tagged = CommentedSeq(items)
    tagged.yaml_set_ctag(Tag(suffix=tag))
    return tagged


def _of(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return config.get(key) or {}
