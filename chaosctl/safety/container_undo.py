"""What undoes the faults on a container, as data: back onto its network, its packets pass again, its limits are the
old ones. Each is idempotent, and finds out by itself what is left to do."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from chaosctl.errors import NotReadyError
from chaosctl.safety import hosts, queues
from chaosctl.safety.container import Container, Endpoint
from chaosctl.safety.engine import EngineError

Outcome = tuple[bool, str]
"""Whether its effect holds now, and a sentence for people."""


@dataclass(frozen=True)
class ReconnectUndo:
    """Put a container back onto a network, at its address and under its names there (`aliases`, with commas: a name
    has none)."""

    engine: str
    container: str
    network: str
    address: str
    aliases: str
    do: Literal["reconnect"] = "reconnect"


@dataclass(frozen=True)
class ChainUndo:
    """Remove a chain of a table in a container's network namespace, and what leads to it."""

    engine: str
    container: str
    chain: str
    table: str = "filter"
    do: Literal["chain"] = "chain"


@dataclass(frozen=True)
class LimitsUndo:
    """Give a container these limits again (the body of `POST /containers/ID/update`)."""

    engine: str
    container: str
    limits: Mapping[str, int]
    do: Literal["limits"] = "limits"


@dataclass(frozen=True)
class HostsUndo:
    """Take what bears this mark out of a container's /etc/hosts."""

    engine: str
    container: str
    mark: str
    do: Literal["hosts"] = "hosts"


@dataclass(frozen=True)
class QueueUndo:
    """Remove the queueing disciplines with this handle from a container's network namespace."""

    engine: str
    container: str
    handle: str
    do: Literal["queue"] = "queue"


@dataclass(frozen=True)
class StartUndo:
    """Have a container run that somebody else had running. One that is gone needs no undoing."""

    engine: str
    container: str
    do: Literal["start"] = "start"


ContainerUndo = StartUndo | ReconnectUndo | ChainUndo | LimitsUndo | QueueUndo | HostsUndo


def play_on_container(action: ContainerUndo, container: Container | None = None) -> Outcome:
    """Do it, or find that nothing is left to do; `container` stands in for the real one. Never raises for what the
    engine or the kernel answer."""
    container = container or Container(action.engine, action.container, getattr(action, "network", ""))
    name = f"container {action.container[:12]}"
    if isinstance(action, ReconnectUndo):
        return _outcome(container, lambda: _reconnect(container, action))
    if isinstance(action, StartUndo):
        return _outcome(container, lambda: _start(container))
    if isinstance(action, ChainUndo):
        return _outcome(container, lambda: _remove(container, action))
    if isinstance(action, HostsUndo):
        return _outcome(container, lambda: _forget(container, action.mark))
    if isinstance(action, QueueUndo):
        return _outcome(container, lambda: _let_go(container, action.handle))

    def limit() -> str:
        container.set_limits(action.limits)
        return f"{name} has its limits again"

    return _outcome(container, limit)


def _outcome(container: Container, undo: Callable[[], str]) -> Outcome:
    name = f"container {container.id[:12]}"
    try:
        return True, undo()
    except NotReadyError as error:
        if isinstance(error, EngineError) and error.status == http.client.NOT_FOUND:
            return True, f"{name} or its network is gone: nothing to undo"
        try:
            gone = not container.inspect()
        except EngineError:
            gone = False
        return (True, f"{name} is gone: nothing to undo") if gone else (False, f"{name}: {error}")


def _start(container: Container) -> str:
    name = f"container {container.id[:12]}"
    state = container.inspect().get("State", {})
    if not state:
        return f"{name} is gone: nothing to start"
    if state.get("Running"):
        return f"{name} runs: nothing to undo"
    container.ask("POST", f"/containers/{container.id}/start")
    return f"started {name} again"


def _reconnect(container: Container, action: ReconnectUndo) -> str:
    name, wanted = f"container {action.container[:12]}", Endpoint(action.address, _names(action.aliases))
    if not container.inspect():
        return f"{name} is gone: nothing to undo"
    if (found := container.endpoint()) is not None:
        if set(wanted.aliases) <= set(found.aliases):
            return f"{name} is on its network: nothing to undo"
        # Started anew without a network it is put onto it by the engine, which has forgotten its names.
        container.disconnect()
    try:
        container.connect(wanted)
    except EngineError as error:
        # Somebody else has taken its address, or the network has none to choose from.
        if error.status in (None, http.client.NOT_FOUND) or not wanted.address:
            raise
        container.connect(Endpoint("", wanted.aliases))
        return f"put {name} back onto its network, at another address than {wanted.address} ({error})"
    return f"put {name} back onto its network"


def _remove(container: Container, action: ChainUndo) -> str:
    name = f"container {container.id[:12]}"
    if container.remove_chain(action.chain, action.table):
        return f"removed chain {action.chain} of {name}"
    return f"{name} has no chain {action.chain}: nothing to undo"


def _forget(container: Container, mark: str) -> str:
    name = f"container {container.id[:12]}"
    if hosts.remove(container, mark):
        return f"{name} has no wrong line in its /etc/hosts any more"
    return f"the /etc/hosts of {name} says nothing wrong: nothing to undo"


def _let_go(container: Container, handle: str) -> str:
    name = f"container {container.id[:12]}"
    if queues.remove(container, handle):
        return f"removed queue {handle} of {name}"
    return f"{name} has no queue {handle}: nothing to undo"


def _names(aliases: str) -> tuple[str, ...]:
    return tuple(filter(None, aliases.split(",")))
