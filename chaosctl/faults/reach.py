"""Who reaches whom, seen from outside: datagrams and connections from each container's network namespace to the others.

The sockets are this process's own, made by threads that enter the namespaces, so nothing in an image is asked.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

from chaosctl.errors import NotReadyError
from chaosctl.faults import containers
from chaosctl.faults.contract import Container, Line, Place, Proof
from chaosctl.safety.namespaces import within

Pairs = frozenset[tuple[str, str]]
"""Replicas by name: (from, to)."""

# A proof may take 2 s. What is lost has to stay lost so often, and what is not may be lost now and then.
LOOK_S = 1.2
ROUND_S = 0.1
LEAST_ROUNDS = 4


def prove(place: Place, lost: Pairs) -> Proof:
    """Return whether just these pairs lose what is sent from the one to the other, past the links and over them."""
    try:
        found = dict(containers.containers_of(place))
        addresses = {name: _address(name, one) for name, one in found.items()}
        namespaces = {name: _namespace(name, one) for name, one in found.items()}
        arrived = _arrived(addresses, namespaces, lost)
        joined = _joined(place.lines, namespaces, lost)
    except (NotReadyError, OSError) as error:
        return Proof(False, str(error))
    return judge(tuple(found), lost, arrived, joined)


def judge(names: Sequence[str], lost: Pairs, arrived: Pairs, joined: Mapping[tuple[str, str, str], bool]) -> Proof:
    """Return what is made of the datagrams that arrived, and of the links over which a connection came about.

    `joined` has each link between two of them: client, server, where its relay listens.
    """
    everyone = {(one, other) for one in names for other in names if one != other}
    wrong = [f"{one} still reaches {other}" for one, other in sorted(lost & arrived)]
    wrong += [f"{one} does not reach {other}" for one, other in sorted(everyone - lost - arrived)]
    for (client, server, _), came in sorted(joined.items()):
        if came == bool({(client, server), (server, client)} & lost):
            wrong.append(f"{client} {'still reaches' if came else 'does not reach'} {server} over its link")
    through = sum(joined.values())
    text = f"datagrams arrive between {len(arrived)} of {len(everyone)} ordered pairs of {len(names)} containers"
    if joined:
        text += f", connections come about over {through} of {len(joined)} links between them"
    return Proof(not wrong and bool(everyone), f"{text}{': ' + '; '.join(wrong[:3]) if wrong else ', as they should'}")


def _address(name: str, container: Container) -> str:
    endpoint = container.endpoint()
    if endpoint is None or not endpoint.address:
        raise NotReadyError(f"{name} has no address on its network")
    return endpoint.address


def _namespace(name: str, container: Container) -> str:
    if (namespace := container.namespace()) is None:
        raise NotReadyError(f"{name} is down, so its network cannot be seen")
    return namespace


@contextmanager
def _datagrams(namespaces: Mapping[str, str]) -> Iterator[dict[str, socket.socket]]:
    """Give a bound socket in each namespace."""

    def bound() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", 0))
        made.setblocking(False)
        return made

    with ExitStack() as closing:
        yield {name: closing.enter_context(within(path, bound)) for name, path in namespaces.items()}


def _arrived(addresses: Mapping[str, str], namespaces: Mapping[str, str], lost: Pairs) -> Pairs:
    """Return the pairs between which datagrams arrive: sent in rounds, until all do that should."""
    arrived: set[tuple[str, str]] = set()
    wanted = len(addresses) * (len(addresses) - 1) - len(lost)
    with _datagrams(namespaces) as sockets:
        end_s = time.monotonic() + LOOK_S
        names, rounds = list(sockets), 0
        while time.monotonic() < end_s and (rounds < LEAST_ROUNDS or len(arrived - lost) < wanted):
            for number, one in enumerate(names):
                for other in names:
                    if other != one:
                        port = sockets[other].getsockname()[1]
                        # What its own kernel refuses to send is lost, too.
                        with suppress(OSError):
                            sockets[one].sendto(number.to_bytes(2, "big"), (addresses[other], port))
            arrived |= _received(sockets, names)
            rounds += 1
    return frozenset(arrived)


def _received(sockets: Mapping[str, socket.socket], names: Sequence[str]) -> set[tuple[str, str]]:
    """Return what comes within a round."""
    by_socket = {one: name for name, one in sockets.items()}
    came: set[tuple[str, str]] = set()
    end_s = time.monotonic() + ROUND_S
    while (left_s := end_s - time.monotonic()) > 0:
        for ready in select.select(list(by_socket), [], [], left_s)[0]:
            with suppress(BlockingIOError):
                came.add((names[int.from_bytes(ready.recv(2), "big")], by_socket[ready]))
    return came


def _joined(lines: Sequence[Line], namespaces: Mapping[str, str], lost: Pairs) -> dict[tuple[str, str, str], bool]:
    """Return for each link between two of them whether a connection to its relay comes about, or is refused."""
    begun: dict[tuple[str, str, str], socket.socket] = {}
    with ExitStack() as closing:
        for line in lines:
            host, _, port = line.listen.rpartition(":")

            def begin(address: tuple[str, int] = (host, int(port))) -> socket.socket:
                made = socket.socket()
                made.setblocking(False)
                made.connect_ex(address)
                return made

            for name in namespaces:
                if line.server in namespaces and line.joins(name, line.server) and name != line.server:
                    begun[name, line.server, line.listen] = closing.enter_context(within(namespaces[name], begin))
        waiting = set(begun.values())
        end_s = time.monotonic() + ROUND_S * LEAST_ROUNDS
        while waiting and (left_s := end_s - time.monotonic()) > 0:
            waiting -= set(select.select([], list(waiting), [], left_s)[1])
        return {key: one not in waiting for key, one in begun.items()}
