"""Paths of an inherited file mean the same from another folder: each is relative to the file it is written in."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from chaosctl.experiment.yaml_source import Entry, ListNode, MapNode, Node, ScalarNode

AnyNode = TypeVar("AnyNode", bound=Node)


def rebase(root: MapNode, way: str) -> MapNode:
    """Return an experiment's tree with its paths (`swarm.bots`, the compose file, every service's `folder` and
    `build.context`) made to start elsewhere.

    `way` leads from the new folder to the one that they are relative to. What is no path is left to those who validate.
    """
    if way == ".":
        return root
    with_bots = _changed(root, "swarm", lambda swarm: _changed(swarm, "bots", lambda bots: _led(bots, way)))
    with_stops = _changed(with_bots, "stop_when", lambda conditions: _stop_conditions(conditions, way))
    return _changed(with_stops, "target", lambda target: _target(target, way))


def _target(target: Node, way: str) -> Node:
    with_file = _changed(target, "compose", lambda compose: _changed(compose, "file", lambda file: _led(file, way)))
    return _changed(with_file, "services", lambda services: _services(services, way))


def _stop_conditions(conditions: Node, way: str) -> Node:
    """The commands of stop conditions have a `folder`, as services have."""
    if not isinstance(conditions, ListNode):
        return conditions
    return replace(conditions, items=tuple(_stop_condition(item, way) for item in conditions.items))


def _stop_condition(item: Node, way: str) -> Node:
    if not isinstance(item, MapNode) or "command" not in item.entries:
        return item
    if "folder" in item.entries:
        return _changed(item, "folder", lambda folder: _led(folder, way))
    here = Entry(item.entries["command"].key, ScalarNode(item.mark, way, plain=False))
    return replace(item, entries={**item.entries, "folder": here})


def _services(services: Node, way: str) -> Node:
    if not isinstance(services, MapNode):
        return services
    moved = {name: replace(entry, value=_service(entry, way)) for name, entry in services.entries.items()}
    return replace(services, entries=moved)


def _service(entry: Entry, way: str) -> Node:
    service = _changed(entry.value, "build", lambda build: _build(entry, build, way))
    if isinstance(service, MapNode) and "folder" not in service.entries:
        here = Entry(entry.key, ScalarNode(service.mark, way, plain=False))
        return replace(service, entries={**service.entries, "folder": here})
    return _changed(service, "folder", lambda folder: _led(folder, way))


def _build(service: Entry, build: Node, way: str) -> Node:
    if isinstance(build, MapNode) and "context" not in build.entries:
        here = Entry(service.key, ScalarNode(build.mark, way, plain=False))
        return replace(build, entries={**build.entries, "context": here})
    return _changed(build, "context", lambda context: _led(context, way))


def _led(node: Node, way: str) -> Node:
    if not isinstance(node, ScalarNode) or node.text.startswith(("/", "$")):
        return node
    return replace(node, text=posixpath.normpath(posixpath.join(way, node.text)), plain=False)


def _changed(node: AnyNode, key: str, change: Callable[[Node], Node]) -> AnyNode:
    if not isinstance(node, MapNode) or key not in node.entries:
        return node
    entry = node.entries[key]
    return replace(node, entries={**node.entries, key: replace(entry, value=change(entry.value))})
