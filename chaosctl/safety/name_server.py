"""What a container's name server says, asked from within its network namespace; and one that stands before it and takes
its time. The engine's own listens at 127.0.0.11 in each container of a network that was made for it. Standard library
only."""

from __future__ import annotations

import contextlib
import heapq
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from chaosctl.safety.namespaces import within

ADDRESS = "127.0.0.11"
PORT = 53
_REAL_PORT = re.compile(rf"-A DOCKER_OUTPUT .*-p udp .*--to-destination {re.escape(ADDRESS)}:(\d+)")
LONGEST_BYTES = 65_535
POLL_S = 0.5
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_A, _IN, _WANTS_RECURSION = 1, 1, 0x0100


@dataclass(frozen=True)
class Answer:
    """What came of a question: `answered`, `refused`, `silent`, after so long, and the addresses (IPv4)."""

    outcome: str
    after_s: float
    addresses: tuple[str, ...] = ()


def ask(namespace: str, name: str, within_s: float) -> Answer:
    """Ask the name server of a container by the file of its network namespace, as a program inside does. Raises
    NotReadyError where that cannot be entered."""
    begin_s = time.monotonic()
    with within(namespace, datagrams) as asking:
        asking.settimeout(within_s)
        try:
            asking.connect((ADDRESS, PORT))
            asking.send(question(name))
            said = asking.recv(LONGEST_BYTES)
        except TimeoutError:
            return Answer("silent", time.monotonic() - begin_s)
        except OSError:
            return Answer("refused", time.monotonic() - begin_s)
    return Answer("answered", time.monotonic() - begin_s, addresses_in(said))


def datagrams() -> socket.socket:
    """Return a socket for datagrams."""
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def real_port(rules: Iterable[str]) -> int | None:
    """Return where the engine's name server listens, by the rules of the namespace's nat table; None if it does not."""
    return next((int(found[1]) for rule in rules if (found := _REAL_PORT.search(rule)) is not None), None)


def question(name: str, number: int = 1) -> bytes:
    """Return the question for the address of a name (RFC 1035, 4.1)."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return _HEADER.pack(number, _WANTS_RECURSION, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", _A, _IN)


def addresses_in(answer: bytes) -> tuple[str, ...]:
    """Return the addresses in an answer to `question`; none for what is none."""
    found = []
    with contextlib.suppress(struct.error, IndexError, ValueError, OSError):
        at = answer.index(b"\0", _HEADER.size) + 5
        for _ in range(_HEADER.unpack_from(answer)[3]):
            # The name of a record: labels, or a pointer to some (RFC 1035, 4.1.4).
            while answer[at] and answer[at] < 0xC0:
                at += answer[at] + 1
            at += 2 if answer[at] else 1
            kind, _, _, length = _RECORD.unpack_from(answer, at)
            at += _RECORD.size
            if kind == _A:
                found.append(socket.inet_ntoa(answer[at : at + length]))
            at += length
    return tuple(found)


class SlowNameServer:
    """Listens in a container's network namespace, and passes each question on to the engine's name server only after a
    while. A thread of ours, and so gone with us."""

    def __init__(self, namespace: str, port: int, delay_s: float) -> None:
        """`port` is that of the engine's name server (see `real_port`). Raises NotReadyError where the namespace cannot
        be entered."""

        def bound() -> socket.socket:
            made = datagrams()
            made.bind(("127.0.0.1", 0))
            return made

        self._asked = within(namespace, bound)
        self._real = within(namespace, bound)
        self._real.connect((ADDRESS, port))
        self.address = "{}:{}".format(*self._asked.getsockname())
        self._delay_s = delay_s
        self._waiting: list[tuple[float, int, bytes]] = []
        self._askers: dict[int, tuple[bytes, tuple[str, int]]] = {}
        self._number = 0
        self._over = threading.Event()
        threading.Thread(target=self._serve, name="slow name server", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._over.set()

    def _serve(self) -> None:
        with self._asked, self._real:
            while not self._over.is_set():
                due_s = self._waiting[0][0] - time.monotonic() if self._waiting else POLL_S
                ready, _, _ = select.select([self._asked, self._real], [], [], min(POLL_S, max(0.0, due_s)))
                # What cannot be delivered is lost, as on any network.
                with contextlib.suppress(OSError):
                    if self._asked in ready:
                        self._take()
                with contextlib.suppress(OSError):
                    if self._real in ready:
                        self._give_back()
                with contextlib.suppress(OSError):
                    while self._waiting and self._waiting[0][0] <= time.monotonic():
                        self._real.send(heapq.heappop(self._waiting)[2])

    def _take(self) -> None:
        """Give the question a number of our own: those of two askers may be the same."""
        data, asker = self._asked.recvfrom(LONGEST_BYTES)
        self._number = (self._number + 1) % 0x10000
        self._askers[self._number] = data[:2], asker
        item = (time.monotonic() + self._delay_s, self._number, self._number.to_bytes(2, "big") + data[2:])
        heapq.heappush(self._waiting, item)

    def _give_back(self) -> None:
        data = self._real.recv(LONGEST_BYTES)
        if (asked := self._askers.pop(int.from_bytes(data[:2], "big"), None)) is not None:
            number, asker = asked
            self._asked.sendto(number + data[2:], asker)
