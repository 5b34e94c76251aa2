"""Ports for the services of a run, chosen once and kept over restarts."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from chaosctl.errors import NotReadyError

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_HIGHEST = 65_535
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(n: int) -> tuple[int, ...]:
    """Return `n` different ports that nothing listens on at 127.0.0.1.

    They lie outside the range from which the kernel gives ports to clients: within it, some connection could take
    the port of a service that is down, and its restart would fail. All are held until the last one is found.
    Raises NotReadyError when there are not enough.
    """
    with ExitStack() as held:
        ports: list[int] = []
        for port in _candidates():
            if len(ports) == n:
                break
            listener = held.enter_context(socket.socket())
            try:
                listener.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(listener.getsockname()[1])
    if len(ports) < n:
        raise NotReadyError(
            f"{n} free ports are needed on {LOOPBACK}, and only {len(ports)} are left; end what uses them"
        )
    return tuple(ports)


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
