"""A dry run on containers: every kind of fault says what it asks of the engine and the kernel, and asks nothing."""

from __future__ import annotations

import pytest

from chaosctl.faults.registry import fault_kinds
from chaosctl.runner.relays import WantedRelay
from tests.runner.rehearsal.rehearsing import DOCKER, NOWHERE, calls_of, example_of, fault, says_all, told

pytestmark = pytest.mark.usefixtures("nothing_is_touched")

IN = "in <network namespace of world[0]>: iptables-restore --noflush -w 2 <<< "


@pytest.mark.parametrize("name", sorted(fault_kinds()))
def test_every_kind_of_fault_says_what_it_does_and_what_undoes_it(name: str) -> None:
    kind = fault_kinds()[name]
    calls = calls_of(DOCKER, example_of(kind), "target.services.world.disk=64MiB")
    says_all(calls, kind)
    if kind.lasting == "never":
        done = [call.what for call in calls if call.by.endswith(f"-{name}")]
        assert [line for line in done if line.startswith("start ")], "what brings it back"


def test_a_disconnected_container_is_put_back_as_the_undo_itself_does_it() -> None:
    calls = calls_of(DOCKER, fault("for: 1s, fault: disconnect, on: world"))
    assert told(calls, "f1-disconnect") == [
        'POST /networks/chaosctl-RUN/disconnect {"Container": "<world[0]>", "Force": true}'
    ]
    (done,) = [call for call in calls if call.by == "f1-disconnect"]
    (healed,) = [call for call in calls if call.by == "f1-disconnect heals"]
    assert done.undo == (healed.what,)
    assert healed.what == (
        'POST /networks/chaosctl-RUN/connect {"Container": "<world[0]>", "EndpointConfig": '
        '{"Aliases": ["world", "world-0"], "IPAMConfig": {"IPv4Address": "<address of world[0]>"}}}'
    )


def test_rules_are_those_that_the_kernel_is_given_and_only_they_are_taken_away() -> None:
    calls = calls_of(DOCKER, fault("for: 1s, fault: block, on: world, port: main, direction: in"))
    port = "--dport 7100"
    jumps = [f"! -i lo -p {protocol} {port} -j CHAIN" for protocol in ("tcp", "udp")]
    given = "; ".join(f"-I INPUT 1 {jump}" for jump in jumps)
    assert told(calls, "f1-block") == [f"{IN}*filter; :CHAIN - [0:0]; -A CHAIN -j DROP; {given}; COMMIT"]
    taken = "; ".join(f"-D INPUT {jump}" for jump in jumps)
    assert told(calls, "f1-block heals") == [f"{IN}*filter; {taken}; -F CHAIN; -X CHAIN; COMMIT"]


def test_limits_are_those_that_the_engine_is_told() -> None:
    calls = calls_of(DOCKER, fault("for: 1s, fault: cpu, on: world, cores: 0.2"))
    path = "POST /containers/<world[0]>/update"
    assert told(calls, "f1-cpu") == [f'{path} {{"CpuPeriod": 100000, "CpuQuota": 20000}}']
    assert told(calls, "f1-cpu heals") == [f'{path} {{"CpuPeriod": 100000, "CpuQuota": -1}}']


def test_a_name_that_leads_elsewhere_is_a_line_before_all_others() -> None:
    calls = calls_of(DOCKER, fault("for: 1s, fault: dns, on: world, mode: wrong, name: ledger, address: gateway"))
    rest = "<what it says already>"
    assert told(calls, "f1-dns") == [
        "in <network namespace of world[0]>: ask the name server for gateway",
        rf'write the /etc/hosts of world[0]: "<address of gateway>\tledger # CHAIN\n{rest}\n"',
    ]
    assert told(calls, "f1-dns heals") == [rf'write the /etc/hosts of world[0]: "{rest}\n"']


def test_who_is_parted_by_a_role_is_taken_for_somebody_and_that_is_said() -> None:
    parted = fault("for: 1s, fault: split, on: world, isolate: leader")
    calls = calls_of(DOCKER, parted, file="split-brain.yaml")
    asked, first, second = told(calls, "f1-split")
    assert asked == "ask every replica of world for its role; taken here: world[0] leader"
    assert first.startswith(f"{IN}*filter; :CHAIN - [0:0]; ")
    assert "; -A CHAIN -s <address of world[1]> -j DROP; " in first
    assert second.startswith("in <network namespace of world[1]>: ")
    assert all(calls_of(DOCKER, parted, file="split-brain.yaml") == calls for _ in range(3))


def test_who_leads_is_not_guessed() -> None:
    calls = calls_of(DOCKER, fault("for: 1s, fault: pause, on: leader of world"), file="leader-kill.yaml")
    assert told(calls, "f1-pause") == ["POST /containers/<the leader of world>/pause"]
    assert set(told(calls, "f1-pause heals")) == {"POST /containers/<the leader of world>/unpause"}


def test_containers_are_made_started_ended_and_removed() -> None:
    calls = calls_of(DOCKER, "timeline=[]", "target.services.world.env={ TOKEN: xyzzy }")
    made, _, started, ready = told(calls, "world[0]")
    assert made.startswith("POST /containers/create?name=chaosctl-RUN-world-0 {")
    for part in ('"Image": "<image built for ', '"TOKEN"]', '"HostIp": "127.0.0.1"', '"Source": "<world[0].state>"'):
        assert part in made
    assert "xyzzy" not in str(calls)
    assert started == "POST /containers/<world[0]>/start"
    assert ready.startswith("wait until ")
    assert told(calls, "world")[:2] == [
        "POST /containers/<world[0]>/unpause",
        "POST /containers/<world[0]>/kill?signal=SIGTERM",
    ]
    gone = told(calls, "services")
    assert gone[-1] == "DELETE /networks/chaosctl-RUN"
    assert "DELETE /containers/<gateway[1]>?force=1&v=1" in gone
    assert [line.partition(" {")[0] for line in told(calls, "network")] == [
        "POST /networks/create",
        "DELETE /networks/chaosctl-RUN",
        "POST /networks/create",
    ]


def test_a_relay_in_a_container_is_on_the_run_s_network() -> None:
    calls = calls_of(DOCKER, "timeline=[]", relay=WantedRelay("container", image="toxiproxy:2"))
    looked, made, started, *_ = told(calls, "relay")
    assert (looked, started) == ("GET /images/toxiproxy:2/json", "POST /containers/<relay>/start")
    assert '"Aliases": ["chaosctl-relay"]' in made
    (proxy,) = [line for line in told(calls, "relay") if '"name": "chaosctl.RUN.world-ledger.0"' in line]
    assert '"listen": "0.0.0.0:<port of world-ledger.0>", "upstream": "ledger-0:7200"' in proxy
    assert '"chaosctl-relay:<port of world-ledger.0>"' in told(calls, "world[0]")[0]
    assert "DELETE /containers/<relay>?force=1&v=1" in told(calls, "services")


def test_what_a_relay_s_container_is_made_of_goes_with_it() -> None:
    calls = calls_of(DOCKER, "timeline=[]", relay=WantedRelay("container"))
    made = "POST /images/create?fromSrc=-&changes=LABEL chaosctl.run=RUN (an archive)"
    assert made in told(calls, "relay")
    assert "DELETE /images/<image of the relay>?force=1&noprune=1" in told(calls, "services")


def test_an_engine_elsewhere_has_volumes_and_publishes_there() -> None:
    calls = calls_of(
        DOCKER,
        "timeline=[]",
        relay=WantedRelay(image="toxiproxy:2"),
        environ={**NOWHERE, "DOCKER_HOST": "tcp://192.0.2.1:2375"},
    )
    made, written, *_ = told(calls, "world[0]")
    assert '"Source": "chaosctl-RUN-world-0", "Target": "/chaosctl/state", "VolumeOptions"' in made
    assert '"HostIp": "192.0.2.1"' in made
    assert written == "PUT /containers/<world[0]>/archive?path=/chaosctl (an archive)"
    assert "DELETE /volumes/chaosctl-RUN-world-0" in told(calls, "services")
