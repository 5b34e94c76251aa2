"""What the faults on limits share: changing one through the engine, and looking at what the kernel holds them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.faults import containers, processes
from chaosctl.faults.contract import Applied, Container, NowNs, Place, ProcessControl, Proof
from chaosctl.safety.container_undo import LimitsUndo
from chaosctl.safety.undo import Undo


def undo_limits(place: Place, wanted_of: Callable[[Mapping[str, Any]], dict[str, int]]) -> tuple[Undo, ...]:
    """Return what gives each container its limits again, by what the engine says it has now (its HostConfig).

    Raises NotReadyError.
    """
    found = containers.containers_of(place)
    return tuple(LimitsUndo(one.engine, one.id, wanted_of(_host_of(name, one))) for name, one in found)


def set_limits(place: Place, wanted_of: Callable[[Mapping[str, Any]], dict[str, int]], now_ns: NowNs) -> Applied:
    """Have the engine hold every container of the place to what is wanted of it, by what it has now. Raises
    NotReadyError."""
    found = containers.containers_of(place)
    wanted = [wanted_of(_host_of(name, one)) for name, one in found]
    called_ns = now_ns()
    for (name, one), limits in zip(found, wanted, strict=True):
        try:
            one.set_limits(limits)
        except NotReadyError as error:
            raise NotReadyError(f"{name} cannot be held to it: {error}") from error
    return Applied(called_ns, now_ns(), containers.targets(found))


def _host_of(name: str, container: Container) -> Mapping[str, Any]:
    if not (found := container.inspect()):
        raise NotReadyError(f"the container of {name} is gone")
    return dict(found.get("HostConfig", {}))


def prove_each(place: Place, look: Callable[[int], Proof]) -> Proof:
    """Look at the main process of every replica of the place, as often as a proof may, until each shows it."""
    return processes.prove_all(lambda: [(processes.name_of(one), _look(one, look)) for one in place.processes])


def _look(process: ProcessControl, look: Callable[[int], Proof]) -> Proof:
    container = process.container()
    try:
        pid = process.pid() if container is None else container.main_pid()
        return look(pid) if pid is not None else Proof(False, "is down, so nothing holds it")
    except NotReadyError as error:
        return Proof(False, str(error))


def both(one: Proof, other: Proof) -> Proof:
    """Return what both prove together."""
    return Proof(one.proved and other.proved, "; ".join(filter(None, (one.text, other.text))))
