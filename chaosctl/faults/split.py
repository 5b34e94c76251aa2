"""A split: replicas are parted into groups that no longer reach each other, all at one moment.

Who receives drops it: each container's network namespace gets a chain that drops what comes from the addresses it is
parted from. What goes over a link meets the relay, whose address all share, so there the client's container drops what
goes to, and comes from, the relay's listener for the replica that it is parted from. `one_way` drops one direction
only; TCP needs both, so no connection works, but what the second group sends does arrive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from pydantic import Field, model_validator

from chaosctl.errors import NotReadyError
from chaosctl.experiment.groups import REST, lost_between
from chaosctl.experiment.kinds import FaultKind, Grouping, Params
from chaosctl.faults import containers, firewall, reach, shapes
from chaosctl.faults.contract import Applied, Container, Line, NowNs, Place, Proof
from chaosctl.faults.shapes import LEAST, Shape
from chaosctl.safety.container import firewall_lacks
from chaosctl.safety.undo import Undo

EVERYWHERE = ("INPUT ! -i lo", "OUTPUT ! -o lo")
Lost = frozenset[tuple[str, str]]
"""Who loses what: pairs of replicas (from, to)."""


class SplitParams(Params):
    """Who is parted from whom: by lists, or by a shape over the replicas of `on:`."""

    groups: tuple[tuple[str, ...], ...] | None = Field(
        default=None,
        min_length=2,
        description="Lists of replicas that still reach each other, and nobody in the other lists; a service means all "
        "its replicas, `the rest` those of `on:` that are in no list. Who is in two lists reaches both, who is in none "
        "is left alone",
    )
    isolate: str | None = Field(
        default=None,
        description="Who is parted from all others of `on:`: a role (`leader`), `world[0]`, `any 1 of world`",
    )
    shape: Shape | None = Field(
        default=None,
        description="majority/minority: the seed draws who is in the minority; ring: each reaches its two neighbours; "
        "bridge: one replica reaches both halves, which do not reach each other",
    )
    one_way: bool = Field(
        default=False,
        description="Only what the first group (the isolated, the minority) sends to the second is lost; what the "
        "second sends arrives. No TCP connection works between them, for its acknowledgements are lost too",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> SplitParams:
        if sum(given is not None for given in (self.groups, self.isolate, self.shape)) != 1:
            raise ValueError("a split takes one of groups, isolate and shape; write one, such as isolate: leader")
        if any(not group for group in self.groups or ()):
            raise ValueError("a group without a replica is parted from nobody; name one in it, or leave it out")
        if self.one_way and (self.shape in ("ring", "bridge") or len(self.groups or ()) > 2):
            raise ValueError("one_way is from one group to a second one; leave it out, or write two groups")
        return self


def settled(params: SplitParams, service: str, replicas: Sequence[int], source: Random) -> SplitParams:
    """Return the same split by groups, for these replicas of a service."""
    if params.groups is not None:
        return params
    if params.shape is not None:
        groups = shapes.groups_of(params.shape, service, replicas, source)
    else:
        groups = shapes.isolating(str(params.isolate), service, replicas, source)
    return SplitParams(groups=groups, one_way=params.one_way)


def wrong(params: SplitParams, service: str, replicas: int) -> str | None:
    """Return why so many replicas cannot be parted like this."""
    least = 2 if params.isolate is not None else LEAST[params.shape] if params.shape is not None else 1
    if replicas >= least:
        return None
    how = params.shape or "isolate"
    return f"{how} takes at least {least} replicas of '{service}', and these are {replicas}; add some, or write groups"


def named(params: SplitParams, service: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield each place that the parameters name, and where they do."""
    if params.isolate is not None:
        yield ("isolate",), shapes.in_full(params.isolate, service)
    for number, group in enumerate(params.groups or ()):
        yield from ((("groups", number, index), text) for index, text in enumerate(group) if text != REST)


def cut_off(params: SplitParams, service: str, replicas: int) -> int:
    """Return how many of the replicas are cut off at most from the most of them."""
    return shapes.cut_off(params.groups or (), params.isolate, params.shape, service, replicas)


class Split:
    """Chains that drop what comes from whom a container is parted from."""

    kind = FaultKind(
        name="split",
        acts_on="service",
        params=SplitParams,
        lasting="always",
        dimension="split",
        takes_down="while",
        needs_containers=True,
        lacks=firewall_lacks,
        groups=Grouping(named, wrong, settled, cut_off),
        summary="Replicas are parted into groups that do not reach each other (iptables in their network namespaces)",
        example="{ at: 8s, for: 4s, fault: split, on: world, groups: [[world], [ledger]] }",
    )

    def prepare(self, fault_id: str, place: Place, params: SplitParams) -> tuple[Undo, ...]:
        """Return the removal of its chains."""
        return firewall.undo_chains(fault_id, place)

    def inject(self, fault_id: str, place: Place, params: SplitParams, now_ns: NowNs) -> Applied:
        """Have all drop at once. Raises NotReadyError."""
        found = dict(containers.containers_of(place))
        called_ns = now_ns()
        with ThreadPoolExecutor(max(1, len(found)), thread_name_prefix="split") as pool:
            addresses = dict(zip(found, pool.map(_addresses, found.values()), strict=True))
            namespaces = dict(zip(found, pool.map(lambda one: one.namespace(), found.values()), strict=True))
            rules = rules_of(lost_in(place, params), addresses, place.lines)
            begin_ns = now_ns()

            def add(name: str) -> int:
                found[name].add_chain(
                    firewall.chain_of(fault_id, found[name]), rules[name], EVERYWHERE, namespaces[name]
                )
                return now_ns()

            within_ns = max(pool.map(add, rules)) - begin_ns if rules else 0
        return Applied(called_ns, now_ns(), containers.targets(tuple(found.items())), {"within_ns": within_ns})

    def prove(self, fault_id: str, place: Place, params: SplitParams, applied: Applied) -> Proof:
        """Send from each network namespace to each other: what was parted does not arrive, all else does."""
        proof = reach.prove(place, lost_in(place, params))
        who = (" > " if params.one_way else " | ").join(", ".join(group) for group in place.groups)
        within = f"all in force within {applied.memo.get('within_ns', 0) / 1e6:.0f} ms of each other"
        return Proof(proof.proved, f"{who}: {proof.text}; {within}")

    def restore(self, fault_id: str, place: Place, params: SplitParams) -> None:
        """Do nothing: the undo is all."""

    def prove_healed(self, fault_id: str, place: Place, params: SplitParams) -> Proof:
        """Ask the kernel, where the chains are gone, and send again: all arrives."""
        gone = firewall.prove_gone(fault_id, place)
        return reach.prove(place, frozenset()) if gone.proved else gone


def lost_in(place: Place, params: SplitParams) -> Lost:
    """Return who loses what at this place."""
    return lost_between(place.groups, one_way=params.one_way)


def rules_of(lost: Lost, addresses: Mapping[str, Sequence[str]], lines: Sequence[Line]) -> dict[str, list[str]]:
    """Return the rules of each replica that needs some, by name. `lines` are the links between services."""
    rules: dict[str, list[str]] = {}
    for sender, taker in sorted(lost):
        rules.setdefault(taker, []).extend(f"-s {address} -j DROP" for address in addresses[sender])
        for line in lines:
            host, _, port = line.listen.rpartition(":")
            if line.joins(sender, taker):
                rules.setdefault(sender, []).append(f"-d {host} -p tcp --dport {port} -j DROP")
            elif line.joins(taker, sender):
                rules.setdefault(taker, []).append(f"-s {host} -p tcp --sport {port} -j DROP")
    return rules


def _addresses(container: Container) -> tuple[str, ...]:
    """Return its addresses on all of its networks."""
    networks = container.inspect().get("NetworkSettings", {}).get("Networks", {})
    found = tuple(sorted(str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")))
    if not found:
        raise NotReadyError(f"container {container.id[:12]} has no address on {container.network}")
    return found


FAULT = Split()
