"""What the faults on what a container sends share: a queue of the kernel at its interfaces, and what arrives then.

The looking is datagrams that chaosctl itself sends from the container's network namespace to this machine, numbered and
stamped: both ends are on one clock.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from chaosctl.errors import NotReadyError
from chaosctl.faults import containers
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.safety import queues
from chaosctl.safety.container_undo import QueueUndo
from chaosctl.safety.namespaces import within
from chaosctl.safety.undo import Undo

_HEAD = struct.Struct("!IQ")
_RECEIVE_BUFFER_BYTES = 4 << 20
_AT_ONCE = 20
_PAUSE_S = 0.005
_FIRST_S = 0.1


@dataclass(frozen=True)
class Arrived:
    """What came of `sent` datagrams: the number of each that arrived, in the order of their arrival, how long it took,
    and when that was (monotonic ns)."""

    sent: int
    numbers: tuple[int, ...]
    took_ns: tuple[int, ...]
    at_ns: tuple[int, ...]


def handle_of(fault_id: str, container: Container) -> str:
    """Return the handle of this fault's queue in this container: the run's network names the run."""
    number = int(hashlib.sha256(f"{container.network} {fault_id}".encode()).hexdigest()[:4], 16)
    # 0 is the kernel's own, ffff that of the ingress (tc(8)).
    return f"{number % 0xFFFE + 1:x}"


def undo_queues(fault_id: str, place: Place) -> tuple[Undo, ...]:
    """Return the removal of the queue of each container. Raises NotReadyError for what is no container."""
    return tuple(QueueUndo(one.engine, one.id, handle_of(fault_id, one)) for _, one in containers.containers_of(place))


def add_queues(fault_id: str, place: Place, words: Sequence[str], now_ns: NowNs) -> Applied:
    """Put a queue before each container's interfaces, `words` as tc(8) has them. Raises NotReadyError."""
    found = containers.containers_of(place)
    called_ns = now_ns()
    for _, one in found:
        queues.add(one, handle_of(fault_id, one), words)
    return Applied(called_ns, now_ns(), containers.targets(found))


def in_force(fault_id: str, container: Container) -> queues.Queue:
    """Return the fault's queue there. Raises NotReadyError where there is none."""
    found = queues.find(container, handle_of(fault_id, container))
    if not found:
        raise NotReadyError("the kernel has no such queue there")
    return found[0]


def prove_gone(fault_id: str, container: Container) -> Proof:
    """Ask the kernel: it has no queue of the fault's there."""
    if container.main_pid() is None:
        return Proof(False, "is down, so its network cannot be seen")
    left = queues.find(container, handle_of(fault_id, container))
    return Proof(not left, "its queue is still there" if left else "its queue is gone")


def send_from(container: Container, count: int, size_bytes: int, wait_s: float, *, paced: bool = True) -> Arrived:
    """Send `count` datagrams of that size from its network namespace to this machine, and wait so long for the last.

    `paced`: 20 at once every 5 ms; else as fast as they go. Raises NotReadyError, OSError.
    """
    namespace = container.namespace()
    networks = container.inspect().get("NetworkSettings", {}).get("Networks", {})
    gateway = (networks.get(container.network) or {}).get("Gateway")
    if namespace is None or not gateway:
        raise NotReadyError("is down, or this machine has no address on its network")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking:
        taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        taking.bind((gateway, 0))
        taking.setblocking(False)
        with within(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as giving:
            giving.connect(taking.getsockname())
            # The first one asks for the way (ARP), and what is sent meanwhile is dropped.
            with suppress(OSError):
                giving.send(b"")
            _taken(taking, _FIRST_S)
            return _sent(giving, taking, count, max(size_bytes, _HEAD.size), wait_s, paced=paced)


def _sent(
    giving: socket.socket, taking: socket.socket, count: int, size_bytes: int, wait_s: float, *, paced: bool
) -> Arrived:
    found: list[tuple[int, int, int]] = []
    filling = bytes(size_bytes - _HEAD.size)
    for number in range(count):
        # What its own kernel refuses is lost, too.
        with suppress(OSError):
            giving.send(_HEAD.pack(number, time.monotonic_ns()) + filling)
        if number % _AT_ONCE == _AT_ONCE - 1:
            found += _taken(taking, _PAUSE_S if paced else 0.0)
    end_s = time.monotonic() + wait_s
    while len({number for number, _, _ in found}) < count and (left_s := end_s - time.monotonic()) > 0:
        found += _taken(taking, min(left_s, 0.05))
    return (
        Arrived(count, *(tuple(column) for column in zip(*found, strict=True))) if found else Arrived(count, (), (), ())
    )


def _taken(taking: socket.socket, wait_s: float) -> list[tuple[int, int, int]]:
    """Return number, time on the way and time of arrival of what comes within the wait."""
    found: list[tuple[int, int, int]] = []
    end_s = time.monotonic() + wait_s
    while select.select([taking], [], [], max(0.0, end_s - time.monotonic()))[0]:
        with suppress(BlockingIOError):
            if data := taking.recv(65_536):
                number, sent_ns = _HEAD.unpack(data[: _HEAD.size])
                at_ns = time.monotonic_ns()
                found.append((number, at_ns - sent_ns, at_ns))
    return found
