"""What the faults on containers share: the containers of a place, and looking at each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.contract import Container, Place, Proof

Named = tuple[str, Container]
"""A replica's name, and its container."""


def containers_of(place: Place) -> tuple[Named, ...]:
    """Return the containers of a place. Raises NotReadyError for a replica that has none."""
    found = []
    for process in place.processes:
        container, name = process.container(), processes.name_of(process)
        if container is None:
            raise NotReadyError(f"{name} is not a container of this machine's engine; use `driver: docker`")
        found.append((name, container))
    return tuple(found)


def targets(found: tuple[Named, ...]) -> tuple[str, ...]:
    """Return what is acted on, for people."""
    return tuple(f"{name} (container {container.id[:12]})" for name, container in found)


def prove_each(place: Place, look: Callable[[Container], Proof]) -> Proof:
    """Look at every container of the place, as often as a proof may, until each shows it. Says what each shows."""
    return processes.prove_all(lambda: [(name, _look(container, look)) for name, container in containers_of(place)])


def _look(container: Container, look: Callable[[Container], Proof]) -> Proof:
    try:
        return look(container)
    except NotReadyError as error:
        return Proof(False, str(error))


def interfaces(pid: int) -> frozenset[str]:
    """Return the network interfaces that a process has, as the kernel shows them (proc(5), /proc/PID/net/dev).

    Raises NotReadyError when it has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError as error:
        raise NotReadyError(f"process {pid} has ended, so its network cannot be seen") from error
    return frozenset(line.partition(":")[0].strip() for line in lines)
