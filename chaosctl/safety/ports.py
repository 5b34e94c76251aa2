"""Ports for the services of a run, chosen once and kept over restarts."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from chaosctl.errors import NotReadyError

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_HIGHEST = 65_535
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class ReservedPorts:
    """Ports at 127.0.0.1 that no other run chooses before `release`, or the end of this process."""

    numbers: tuple[int, ...]
    _marks: ExitStack

    def release(self) -> None:
        """Let other runs have them. Idempotent."""
        self._marks.close()


def reserve_ports(n: int) -> ReservedPorts:
    """Reserve `n` different ports that nothing listens on at 127.0.0.1.

    They lie outside the range from which the kernel gives ports to clients: within it, some connection could take
    the port of a service that is down, and its restart would fail. Raises NotReadyError when there are not enough.
    """
    ports: list[int] = []
    with ExitStack() as marks, ExitStack() as held:
        for port in _candidates():
            if len(ports) == n:
                break
            listener = held.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind((LOOPBACK, port))
                number = listener.getsockname()[1]
                marks.enter_context(_mark(number))
                ports.append(number)
        if len(ports) == n:
            return ReservedPorts(tuple(ports), marks.pop_all())
    raise NotReadyError(f"{n} free ports are needed on {LOOPBACK}, and only {len(ports)} are left; end what uses them")


def _mark(port: int) -> socket.socket:
    """Take the name that says to other runs in this network namespace that the port is taken. Raises OSError.

    A service listens only once it runs, and not while it is down. The name goes with this process, however it ends.
    """
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0chaosctl-port-{port}")
    except OSError:
        mark.close()
        raise
    return mark


def is_taken(host: str, port: int) -> bool:
    """Return whether somebody listens at this address, so that a service could not."""
    with socket.socket() as listener:
        # As servers do, so that connections of the past (TIME_WAIT) do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return True
    return False


def _candidates() -> Iterator[int]:
    """Yield ports outside the ephemeral range in random order (another run may be choosing now), then 0: any port."""
    low, high = _ephemeral_range()
    outside = [port for port in range(_LOWEST, _HIGHEST + 1) if not low <= port <= high]
    random.Random().shuffle(outside)
    yield from outside
    for _ in range(_HIGHEST - _LOWEST):
        yield 0


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = map(int, _EPHEMERAL_RANGE.read_text().split())
    except (OSError, ValueError):
        return 32_768, 60_999  # the kernel's default
    return low, high
