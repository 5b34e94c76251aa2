"""Names that are not found, lead elsewhere, or take long: what a container asks its name server for. What it has looked
up, or is connected to, already is left alone."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, model_validator

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import FaultKind, Params
from chaosctl.experiment.units import DurationNs
from chaosctl.faults import containers, firewall
from chaosctl.faults.contract import Applied, Container, NowNs, Place, Proof
from chaosctl.safety import hosts
from chaosctl.safety.container import firewall_lacks
from chaosctl.safety.container_undo import ChainUndo, HostsUndo
from chaosctl.safety.name_server import ADDRESS, PORT, SlowNameServer
from chaosctl.safety.undo import Undo

NAME = r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?)*$"
LONGEST_NS = 30_000_000_000
ANSWER_S = 0.5
# The engine's name server is asked at one port and listens at another; others are met at theirs. What is dropped on its
# way out is an error for its sender, so silence has to wait at the way in.
JUMPS = {
    "fail": (f"OUTPUT -d {ADDRESS}/32", f"OUTPUT -p udp --dport {PORT}", f"OUTPUT -p tcp --dport {PORT}"),
    "drop": (f"INPUT -d {ADDRESS}/32", f"INPUT -p udp --sport {PORT}", f"INPUT -p tcp --sport {PORT}"),
}
RULES = {
    "fail": ("-p tcp -j REJECT --reject-with tcp-reset", "-j REJECT"),
    "drop": ("-j DROP",),
}
NEEDED = {"fail": (), "drop": (), "wrong": ("name", "address"), "slow": ("delay",)}
# What answers slowly lives in this process: by fault and container.
_SLOW: dict[tuple[str, str], SlowNameServer] = {}


class DnsParams(Params):
    """What becomes of the questions."""

    mode: Literal["fail", "drop", "wrong", "slow"] = Field(
        "fail",
        description="fail: questions are refused at once; drop: no answer; wrong: one name leads elsewhere; slow: "
        "answers come late",
    )
    name: str | None = Field(None, pattern=NAME, max_length=253, description="wrong: the name: world")
    address: str | None = Field(
        None, pattern=rf"{NAME}|^[0-9a-fA-F:.]+$", description="wrong: where it leads: an address, or another service"
    )
    delay_ns: DurationNs | None = Field(
        None, alias="delay", ge=1_000_000, le=LONGEST_NS, description="slow: how late: at most 30s"
    )

    @model_validator(mode="after")
    def _fits_its_mode(self) -> DnsParams:
        given = {key for key, value in (("name", self.name), ("address", self.address)) if value is not None}
        given |= {"delay"} if self.delay_ns is not None else set()
        needed = set(NEEDED[self.mode])
        if lacking := sorted(needed - given):
            raise ValueError(f"mode {self.mode} needs {' and '.join(lacking)}")
        if spare := sorted(given - needed):
            raise ValueError(f"mode {self.mode} has no {' or '.join(spare)}; leave it out")
        return self


class Dns:
    """Rules on what is asked, a line in /etc/hosts, or a name server before the right one."""

    kind = FaultKind(
        name="dns",
        acts_on="service",
        params=DnsParams,
        lasting="always",
        dimension="names",
        needs_containers=True,
        lacks=firewall_lacks,
        summary="Names are not found (fail, drop), lead to another address (wrong), or are answered late (slow)",
        example="{ at: 8s, for: 6s, fault: dns, on: world, mode: wrong, name: ledger, address: 203.0.113.1 }",
    )

    def prepare(self, fault_id: str, place: Place, params: DnsParams) -> tuple[Undo, ...]:
        """Return the removal of its rules, or of its lines. Raises NotReadyError for what is no container."""
        table = "nat" if params.mode == "slow" else "filter"
        return tuple(
            HostsUndo(one.engine, one.id, firewall.chain_of(fault_id, one))
            if params.mode == "wrong"
            else ChainUndo(one.engine, one.id, firewall.chain_of(fault_id, one), table)
            for _, one in containers.containers_of(place)
        )

    def inject(self, fault_id: str, place: Place, params: DnsParams, now_ns: NowNs) -> Applied:
        """Do so in each container. Raises NotReadyError."""
        found = containers.containers_of(place)
        called_ns = now_ns()
        memo = {one.id: _act(fault_id, one, params) for _, one in found}
        return Applied(called_ns, now_ns(), containers.targets(found), memo)

    def prove(self, fault_id: str, place: Place, params: DnsParams, applied: Applied) -> Proof:
        """Ask as a program inside does; for a wrong name, read what it reads."""
        return containers.prove_each(place, lambda one: _look(one, params, applied.memo.get(one.id)))

    def restore(self, fault_id: str, place: Place, params: DnsParams) -> None:
        """End what answers slowly."""
        for _, one in containers.containers_of(place):
            if (server := _SLOW.pop((fault_id, one.id), None)) is not None:
                server.stop()

    def prove_healed(self, fault_id: str, place: Place, params: DnsParams) -> Proof:
        """Ask and read again."""
        return containers.prove_each(place, lambda one: _look_healed(fault_id, one, params))


def _act(fault_id: str, one: Container, params: DnsParams) -> str | None:
    """Return the address that a wrong name leads to."""
    chain = firewall.chain_of(fault_id, one)
    if params.mode == "wrong":
        address = _resolved(one, str(params.address))
        hosts.add(one, f"{address}\t{params.name}", chain)
        return address
    if params.mode == "slow":
        server = one.answer_late((params.delay_ns or 0) / 1e9)
        rule = f"-p udp -j DNAT --to-destination {server.address}"
        try:
            one.add_chain(chain, (rule,), (f"OUTPUT -d {ADDRESS}/32 -p udp --dport {PORT}",), table="nat")
        except NotReadyError:
            server.stop()
            raise
        _SLOW[fault_id, one.id] = server
        return None
    one.add_chain(chain, RULES[params.mode], JUMPS[params.mode])
    return None


def _resolved(one: Container, address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        found = one.ask_for(address, ANSWER_S).addresses
    if not found:
        raise NotReadyError(f"nothing on its network is called '{address}'; write an address, or a service")
    return found[0]


def _look(one: Container, params: DnsParams, address: str | None) -> Proof:
    if params.mode == "wrong":
        found = hosts.addresses(one, str(params.name))
        said = f"its /etc/hosts says that {params.name} is {found[0] if found else 'nowhere'}"
        return Proof(address is not None and found[:1] == (address,), said)
    delay_s = (params.delay_ns or 0) / 1e9
    answer = one.ask_for(_own_name(one), delay_s + ANSWER_S)
    text = f"its name server {_in_words(answer.outcome)} after {answer.after_s * 1e3:.0f} ms"
    wanted = {"fail": "refused", "drop": "silent", "slow": "answered"}[params.mode]
    return Proof(answer.outcome == wanted and answer.after_s >= delay_s, text)


def _look_healed(fault_id: str, one: Container, params: DnsParams) -> Proof:
    if params.mode == "wrong":
        found = hosts.addresses(one, str(params.name))
        marked = hosts.is_marked(one, firewall.chain_of(fault_id, one))
        return Proof(not marked, f"its /etc/hosts says of {params.name}: {', '.join(found) or 'nothing'}")
    answer = one.ask_for(_own_name(one), ANSWER_S)
    text = f"its name server {_in_words(answer.outcome)} after {answer.after_s * 1e3:.0f} ms"
    chain, table = firewall.chain_of(fault_id, one), "nat" if params.mode == "slow" else "filter"
    left = any(chain in rule.split() for _, rule in one.rules(table))
    return Proof(answer.outcome == "answered" and not left, text + (f"; {chain} is in force" if left else ""))


def _own_name(one: Container) -> str:
    """Return a name that its name server knows: one of its own."""
    endpoint = one.endpoint()
    if endpoint is None or not endpoint.aliases:
        raise NotReadyError("has no name on its network")
    return endpoint.aliases[0]


def _in_words(outcome: str) -> str:
    return {"answered": "answered", "refused": "refused", "silent": "said nothing"}[outcome]


FAULT = Dns()
