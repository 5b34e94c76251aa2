"""A link that no relay carries, cut at its packets: rules in the network namespace of each client's container.

Neither end is made anew or asked for anything. What is cut is what leads to the server's port at any address that the
server has, and what comes from there.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chaosctl.errors import NotReadyError
from chaosctl.faults import firewall, processes
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof, Wire
from chaosctl.safety.container_undo import ChainUndo
from chaosctl.safety.namespaces import within
from chaosctl.safety.undo import Undo

LOOK_S = 0.5
_OUT, _IN = "OUTPUT ! -o lo -p tcp", "INPUT ! -i lo -p tcp"


@dataclass(frozen=True)
class Cut:
    """What the client notices: silence (`blackhole`) or a refusal (`refuse`), and for which direction: `up` is what it
    sends, `down` what it is sent, or `both`."""

    mode: str
    direction: str

    @property
    def target(self) -> str:
        """What becomes of a packet."""
        return "DROP" if self.mode == "blackhole" else "REJECT"


def undo_cut(fault_id: str, place: Place) -> tuple[Undo, ...]:
    """Return the removal of each client's chain."""
    return tuple(ChainUndo(one.engine, one.id, firewall.chain_of(fault_id, one)) for _, one, _ in _clients(place.wires))


def cut(fault_id: str, place: Place, how: Cut, now_ns: NowNs) -> Applied:
    """Add the chains. Raises NotReadyError."""
    called_ns = now_ns()
    for _, client, wires in _clients(place.wires):
        pairs = tuple((address, wire.port) for wire in wires for address in _addresses(wire.to_container))
        client.add_chain(firewall.chain_of(fault_id, client), rules_of(pairs, how), (_OUT, _IN))
    names = (f"{wire.client} > {wire.server}:{wire.port} (packets)" for wire in place.wires)
    return Applied(called_ns, now_ns(), tuple(names))


def rules_of(servers: Sequence[tuple[str, int]], how: Cut) -> tuple[str, ...]:
    """Return the rules for these addresses and ports. A refusal is the client's own kernel's, in what it sends."""
    act = "DROP" if how.mode == "blackhole" else "REJECT --reject-with tcp-reset"
    out = [f"-d {host} -p tcp --dport {port} -j {act}" for host, port in servers]
    back = [f"-s {host} -p tcp --sport {port} -j DROP" for host, port in servers]
    if how.mode != "blackhole" or how.direction == "up":
        return tuple(out)
    return tuple(back) if how.direction == "down" else (*out, *back)


def prove_cut(fault_id: str, place: Place, how: Cut) -> Proof:
    """Connect from each client's network namespace: that is refused or comes to nothing, and the kernel counts what it
    kept from passing."""

    def look(wire: Wire) -> Proof:
        _, before = _counted(fault_id, wire.from_container)
        came = _connected(wire)
        _, after = _counted(fault_id, wire.from_container)
        wanted = "silent" if how.mode == "blackhole" else "refused"
        return Proof(came == wanted and after > before, f"a connection was {came}, {after - before} packets were kept")

    return _each(place.wires, look)


def prove_whole(fault_id: str, place: Place) -> Proof:
    """The chains are gone, and connections come about."""

    def look(wire: Wire) -> Proof:
        chain = firewall.chain_of(fault_id, wire.from_container)
        left = [rule for _, rule in wire.from_container.rules() if chain in rule.split()]
        came = _connected(wire)
        return Proof(came == "accepted" and not left, f"a connection was {came}, {len(left)} rules are left")

    return _each(place.wires, look)


def _clients(wires: Sequence[Wire]) -> Iterator[tuple[str, Container, tuple[Wire, ...]]]:
    for name in dict.fromkeys(wire.client for wire in wires):
        own = tuple(wire for wire in wires if wire.client == name)
        yield name, own[0].from_container, own


def _addresses(container: Container) -> tuple[str, ...]:
    """Return all that it has. Raises NotReadyError when it has none."""
    networks = container.inspect().get("NetworkSettings", {}).get("Networks") or {}
    found = tuple(str(one["IPAddress"]) for one in networks.values() if one and one.get("IPAddress"))
    if not found:
        raise NotReadyError(f"container {container.id[:12]} has no address on any network")
    return found


def _counted(fault_id: str, client: Container) -> tuple[int, int]:
    came, dropped = firewall.counted(fault_id, client, "DROP")
    _, rejected = firewall.counted(fault_id, client, "REJECT")
    return came, dropped + rejected


def _connected(wire: Wire) -> str:
    """Return what became of a connection from the client to the server: accepted, refused or silent. Raises
    NotReadyError, OSError."""
    if (namespace := wire.from_container.namespace()) is None:
        raise NotReadyError(f"{wire.client} is down, so its network cannot be seen")
    shared = wire.from_container.inspect()["NetworkSettings"]["Networks"].keys()
    there = wire.to_container.inspect()["NetworkSettings"]["Networks"]
    address = next((there[name]["IPAddress"] for name in there if name in shared), _addresses(wire.to_container)[0])

    def begin() -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        with suppress(OSError):
            made.connect_ex((address, wire.port))
        return made

    with within(namespace, begin) as made:
        if not select.select([], [made], [], LOOK_S)[1]:
            return "silent"
        return "refused" if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else "accepted"


def _each(wires: Sequence[Wire], look: Callable[[Wire], Proof]) -> Proof:
    """Look at every wire, as often as a proof may, until each shows it."""
    seen: list[tuple[Wire, Proof]] = []

    def all_show_it() -> bool:
        seen[:] = [(wire, look(wire)) for wire in wires]
        return all(proof.proved for _, proof in seen)

    try:
        proved = processes.wait_until(all_show_it)
    except (NotReadyError, OSError) as error:
        return Proof(False, str(error))
    return Proof(proved and bool(seen), "; ".join(f"{wire.client} > {wire.server}: {one.text}" for wire, one in seen))
