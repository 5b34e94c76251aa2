"""What is made of a loss that was counted, and where packets are met."""

from __future__ import annotations

import pytest

from chaosctl.faults import firewall
from chaosctl.faults.firewall import jumps
from chaosctl.faults.loss import judge_loss
from chaosctl.faults.registry import faults
from chaosctl.safety import container
from chaosctl.safety.container import Container, firewall_lacks


@pytest.mark.parametrize(
    ("came", "lost", "share", "proved"),
    [
        (400, 80, 0.2, True),
        (400, 45, 0.2, True),
        (400, 200, 0.2, False),
        (400, 0, 0.01, False),
        (400, 400, 1.0, True),
        (400, 390, 1.0, False),
        (10, 2, 0.2, False),
    ],
)
def test_a_share_is_proved_as_far_as_chance_lets_one_tell(came: int, lost: int, share: float, proved: bool) -> None:
    proof = judge_loss(came, lost, share)
    assert proof.proved == proved
    assert f"{lost} of {came} packets were lost" in proof.text


def test_its_own_port_is_where_packets_in_go_and_where_packets_out_come_from() -> None:
    assert jumps("both") == ("INPUT ! -i lo", "OUTPUT ! -o lo")
    assert jumps("in", 7000) == ("INPUT ! -i lo -p tcp --dport 7000", "INPUT ! -i lo -p udp --dport 7000")
    assert jumps("out", 7000) == ("OUTPUT ! -o lo -p tcp --sport 7000", "OUTPUT ! -o lo -p udp --sport 7000")


def test_the_chains_of_two_faults_and_of_two_runs_have_names_of_their_own() -> None:
    one, other = (Container("/engine.sock", "abc", name) for name in ("chaosctl-1", "chaosctl-2"))
    names = {firewall.chain_of(fault, box) for fault in ("f1-loss", "f2-$(reboot)\n") for box in (one, other)}
    assert len(names) == 4
    assert all(container.checked(name) == name for name in names)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "_path", lambda: "/nowhere")
    assert firewall_lacks() == (
        "nsenter and iptables-save and iptables-restore not on PATH; install util-linux and iptables"
    )
    with pytest.raises(container.NotReadyError, match="needed for faults on packets; install util-linux and iptables"):
        container.inside("/proc/self/ns/net", ("iptables-save",))


@pytest.mark.parametrize("name", ["loss", "block", "disconnect"])
def test_it_says_of_itself_that_it_needs_containers(name: str) -> None:
    assert faults()[name].kind.needs_containers
