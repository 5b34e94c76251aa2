"""Ports for the services of a run, chosen once and kept over restarts."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence
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
    return reserve_rows((1,) * n)


def reserve_rows(counts: Sequence[int]) -> ReservedPorts:
    """Reserve a row of neighbouring ports for each count, as `reserve_ports`. Raises NotReadyError."""
    ports: list[int] = []
    with ExitStack() as marks, ExitStack() as held:
        candidates = _candidates()
        for count in counts:
            row = next((row for port in candidates if (row := _row(port, count, marks, held))), None)
            if row is None:
                n = sum(counts)
                text = f"{n} free ports are needed on {LOOPBACK}, and only {len(ports)} are left"
                raise NotReadyError(f"{text}; end what uses them")
            ports += row
        return ReservedPorts(tuple(ports), marks.pop_all())


def _row(first: int, count: int, marks: ExitStack, held: ExitStack) -> list[int]:
    """Return that port and those behind it, taken; nothing where one of them is not free."""
    ports: list[int] = []
    if first == 0 and count > 1:
        return ports  # any port, so nobody knows what is behind it
    with ExitStack() as own_marks, ExitStack() as own, suppress(OSError, OverflowError):
        for offset in range(count):
            listener = own.enter_context(socket.socket())
            listener.bind((LOOPBACK, first + offset))
            ports.append(listener.getsockname()[1])
            own_marks.enter_context(_mark(ports[-1]))
        held.push(own.pop_all())
        marks.push(own_marks.pop_all())
        return ports
    return []


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
