"""What a container asks its name server for: refused, not answered, answered wrongly or late, and as ever after the
undo. What programs inside see is asked of one inside."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.faults import processes
from chaosctl.faults.registry import faults
from chaosctl.safety import hosts, name_server
from chaosctl.safety.name_server import addresses_in, question
from tests.faults.boxes import Box, box
from tests.faults.conftest import NOT_APPLIED, inject, params_of, prove, prove_healed
from tests.faults.undoing import undo_elsewhere, undo_of

DNS = faults()["dns"]
e2e = (pytest.mark.e2e, pytest.mark.needs("docker"))
# Exits with 0 if the name leads to the address, 1 if elsewhere, 2 if nowhere.
LOOKS_UP = 'my $found = gethostbyname($ARGV[0]) or exit 2; exit(join(".", unpack("C4", $found)) ne $ARGV[1])'
FOUND, ELSEWHERE, NOWHERE = 0, 1, 2


@pytest.fixture(autouse=True)
def _shorter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.wait_until, "__defaults__", (0.3,))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with box(tmp_path_factory.mktemp("box")) as running:
        yield running


def own_address(running: Box) -> str:
    endpoint = running.container.endpoint()
    assert endpoint is not None
    return endpoint.address


def leads(running: Box, name: str, address: str) -> int | None:
    """Return where a name leads a program inside."""
    return running.run("perl", "-e", LOOKS_UP, name, address)


def hosts_of(running: Box) -> str:
    return Path(running.container.inspect()["HostsPath"]).read_text()


def nat_of(running: Box) -> list[str]:
    return [rule for _, rule in running.container.rules("nat")]


BYSTANDER = "-A OUTPUT -d 192.0.2.1/32 -p udp -j DNAT --to-destination 192.0.2.2"


@pytest.fixture
def guarded(one: Box) -> Iterator[Box]:
    """With a rule in its nat table and a line in its /etc/hosts that are somebody else's."""
    namespace = one.container.inspect()["NetworkSettings"]["SandboxKey"]
    iptables, path = ("nsenter", f"--net={namespace}", "iptables", "-t", "nat"), hosts_of
    subprocess.run([*iptables, *BYSTANDER.split()], check=True, timeout=10)
    hosts.add(one.container, "192.0.2.9 theirs one-0.theirs", "theirs")
    yield one
    hosts.remove(one.container, "theirs")
    subprocess.run([*iptables, *BYSTANDER.replace("-A", "-D").split()], check=True, timeout=10)
    assert "theirs" not in path(one)


@pytest.mark.parametrize(
    ("written", "met", "said"),
    [
        ({}, NOWHERE, "refused"),
        ({"mode": "drop"}, None, "said nothing"),
        ({"mode": "slow", "delay": "700ms"}, FOUND, "answered after"),
        ({"mode": "wrong", "name": "one", "address": "203.0.113.1"}, ELSEWHERE, "says that one is 203.0.113.1"),
    ],
    ids=str,
)
@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_names_are_as_the_fault_says_until_the_undo(
    guarded: Box, written: dict[str, str], met: int | None, said: str
) -> None:
    address, before = own_address(guarded), (hosts_of(guarded), nat_of(guarded), guarded.container.rules())
    assert leads(guarded, "one", address) == FOUND
    undo = undo_of("dns", guarded, **written)
    assert prove_healed(DNS, guarded.place, written).proved
    assert not prove(DNS, guarded.place, written, NOT_APPLIED).proved
    applied = inject(DNS, guarded.place, written)
    proof = prove(DNS, guarded.place, written, applied)
    assert proof.proved, proof
    assert said in proof.text
    assert not prove_healed(DNS, guarded.place, written).proved
    begin_s = time.monotonic()
    if met is not None:  # who gets no answer asks again for a long time
        assert leads(guarded, "one", address) == met
        assert leads(guarded, "one", "203.0.113.1") == (FOUND if met == ELSEWHERE else max(met, ELSEWHERE))
    assert written.get("mode") != "slow" or time.monotonic() - begin_s > 1.4
    assert guarded.answer() == "answered"
    undo_elsewhere(undo)
    DNS.restore("f1", guarded.place, params_of(DNS, written))
    assert (hosts_of(guarded), nat_of(guarded), guarded.container.rules()) == before
    assert leads(guarded, "one", address) == FOUND
    assert prove_healed(DNS, guarded.place, written).proved
    assert not prove(DNS, guarded.place, written, applied).proved
    assert "nothing to undo" in undo_elsewhere(undo)


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_a_name_may_lead_to_another_service_and_only_to_one_that_is_there(one: Box) -> None:
    written = {"mode": "wrong", "name": "world.example", "address": "one-0"}
    undo = undo_of("dns", one, **written)
    applied = inject(DNS, one.place, written)
    assert prove(DNS, one.place, written, applied).proved
    assert leads(one, "world.example", own_address(one)) == FOUND
    undo_elsewhere(undo)
    assert hosts.addresses(one.container, "world.example") == ()
    with pytest.raises(NotReadyError, match="nothing on its network is called 'nobody-here'"):
        inject(DNS, one.place, {**written, "address": "nobody-here"})


@pytest.mark.e2e
@pytest.mark.needs("docker")
def test_two_that_ask_at_once_each_get_their_own_answer_late(one: Box) -> None:
    written = {"mode": "slow", "delay": "300ms"}
    undo = undo_of("dns", one, **written)
    inject(DNS, one.place, written)
    namespace = one.container.namespace()
    assert namespace is not None
    asking = [name_server.within(namespace, name_server.datagrams) for _ in range(2)]
    begin_s = time.monotonic()
    for one_of_them, name in zip(asking, ("one", "one-0"), strict=True):
        one_of_them.connect((name_server.ADDRESS, name_server.PORT))
        one_of_them.settimeout(5.0)
        one_of_them.send(question(name, 77))
    for one_of_them, name in zip(asking, ("one", "one-0"), strict=True):
        with one_of_them:
            said = one_of_them.recv(2000)
        assert said.startswith(question(name, 77)[:2])
        assert question(name)[12:] in said
        assert addresses_in(said) == (own_address(one),)
    assert time.monotonic() - begin_s > 0.3
    undo_elsewhere(undo)
    DNS.restore("f1", one.place, params_of(DNS, written))
    assert one.container.ask_for("one", 1.0).after_s < 0.3


def test_an_answer_is_read_with_and_without_pointers() -> None:
    record = b"\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xcb\x00\x71\x01"
    alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c"
    header, asked = b"\x00\x01\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00", question("a.b")[12:]
    assert addresses_in(header + asked + alias + b"\xc0\x0c" + record) == ("203.0.113.1",)
    assert addresses_in(header + asked + b"\x01a\x01b\x00" + record) == ("203.0.113.1",)
    assert addresses_in(question("a.b")) == ()
    assert addresses_in(b"") == ()
    assert addresses_in(header + asked + alias[:5]) == ()
