"""Disconnected: the container is taken off its network, as by a cable that is pulled. Its connections die without a
word, its name is not found, its published ports lead nowhere. It comes back at its old address, under its old names."""

from __future__ import annotations

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.faults import containers
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.safety.container_undo import ReconnectUndo
from chaosctl.safety.undo import Undo

LOOPBACK = frozenset({"lo"})


class DisconnectParams(Params):
    """None."""


class Disconnect:
    """Take each container off its network, and put it back."""

    kind = FaultKind(
        name="disconnect",
        acts_on="service",
        params=DisconnectParams,
        lasting="always",
        dimension="network",
        takes_down="while",
        needs_containers=True,
        summary="The container is taken off its network, and comes back with its address and its names",
        example="{ at: 8s, for: 4s, fault: disconnect, on: world }",
    )

    def prepare(self, fault_id: str, place: Place, params: DisconnectParams) -> tuple[Undo, ...]:
        """Return how each is put back to where it is now."""
        return tuple(_reconnect(container) for _, container in containers.containers_of(place))

    def inject(self, fault_id: str, place: Place, params: DisconnectParams, now_ns: NowNs) -> Applied:
        """Take them off. Raises NotReadyError."""
        found = containers.containers_of(place)
        called_ns = now_ns()
        for _, container in found:
            container.disconnect()
        return Applied(called_ns, now_ns(), containers.targets(found))

    def prove(self, fault_id: str, place: Place, params: DisconnectParams, applied: Applied) -> Proof:
        """Ask the kernel which interfaces its main process has: none but loopback."""
        return containers.prove_each(place, lambda one: _look(one, connected=False))

    def restore(self, fault_id: str, place: Place, params: DisconnectParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: DisconnectParams) -> Proof:
        """Ask the kernel, which shows others again, and the engine, which says at what address."""
        return containers.prove_each(place, lambda one: _look(one, connected=True))


def _reconnect(container: Container) -> ReconnectUndo:
    endpoint = container.endpoint()
    if endpoint is None:
        raise NotReadyError(f"container {container.id[:12]} is not on the network {container.network}")
    names = ",".join(endpoint.aliases)
    return ReconnectUndo(container.engine, container.id, container.network, endpoint.address, names)


def _look(container: Container, *, connected: bool) -> Proof:
    pid = container.main_pid()
    if pid is None:
        return Proof(False, "is down, so its network cannot be seen")
    found = sorted(containers.interfaces(pid) - LOOPBACK)
    endpoint = container.endpoint()
    address = endpoint.address if endpoint else ""
    text = f"process {pid} has {', '.join(found) or 'no interface but loopback'}"
    at = f"at {address}" if address else "no address"
    return Proof((bool(found) and bool(address)) if connected else not found, f"{text}, {at} on {container.network}")


FAULT = Disconnect()
