"""A dry run of a compose project: what compose is told, what is laid over its file, and what is left as it is."""

from __future__ import annotations

import json

import pytest

from chaosctl.faults.registry import fault_kinds
from tests.runner.rehearsal.rehearsing import ARENA, ATTACHED, COMPOSE, calls_of, example_of, fault, says_all, told

pytestmark = pytest.mark.usefixtures("nothing_is_touched")

# What starts services as something else, or needs a disk of the run's making, is refused before there is a plan.
KINDS = sorted(
    name for name, kind in fault_kinds().items() if not (kind.replaces or kind.needs_disk or kind.follows is not None)
)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_fault_says_what_it_does_and_what_undoes_it(name: str) -> None:
    kind = fault_kinds()[name]
    says_all(calls_of(COMPOSE, example_of(kind)), kind)


@pytest.mark.parametrize("name", KINDS)
def test_so_it_does_where_a_project_is_attached_to(name: str) -> None:
    kind = fault_kinds()[name]
    link = "gateway-world" if kind.without_relay is not None else "bots-gateway"
    says_all(calls_of(ATTACHED, example_of(kind, link)), kind)


def test_compose_is_called_as_in_a_run_and_what_the_experiment_adds_is_shown() -> None:
    calls = calls_of(COMPOSE, "timeline=[]")
    asked, _, written, made, started = told(calls, "compose")
    compose = f"docker compose -f {ARENA / 'compose.yaml'}"
    whole = f"{compose} -f <bundle>/compose-override.yaml -p chaosctl-RUN up"
    scale = "--scale ledger=1 --scale world=1 --scale gateway=2"
    assert asked == f"ask what the file says: {compose} -p chaosctl-RUN config --format json"
    assert made == f"{whole} --no-start {scale}"
    assert started == f"{whole} --detach --no-recreate --no-build {scale}"
    services = json.loads(written.partition("alone says: ")[2])["services"]
    assert services["world"]["extra_hosts"] == ["ledger:<gateway of chaosctl-RUN-links-0>"]
    assert services["gateway"]["ports"][0] == "127.0.0.1:<port of gateway[0].main>-<port of gateway[1].main>:7000"
    (relay,) = [line for line in told(calls, "relay") if '"name": "chaosctl.RUN.world-ledger.0"' in line]
    assert '"listen": "<gateway of chaosctl-RUN-links-0>:7200"' in relay
    assert '"upstream": "127.0.0.1:<port of ledger[0].main>"' in relay
    assert "DELETE /networks/chaosctl-RUN-links-0" in told(calls, "services")


def test_limits_that_the_file_may_set_are_not_guessed_silently() -> None:
    calls = calls_of(COMPOSE, fault("for: 1s, fault: cpu, on: world, cores: 0.2"))
    changed, why = told(calls, "f1-cpu")
    assert changed == 'POST /containers/<world[0]>/update {"CpuPeriod": 100000, "CpuQuota": 20000}'
    assert why == "(of the limits that world[0] has before, taken for none here)"


def test_a_restart_policy_that_the_file_may_have_is_told_of() -> None:
    killed = fault("fault: kill, on: world")
    assert told(calls_of(COMPOSE, killed), "f1-kill") == [
        "POST /containers/<world[0]>/kill?signal=SIGKILL",
        "start world[0] 500ms after its end (its restart policy)",
        "POST /containers/<world[0]>/start",
    ]
    sent, otherwise = told(calls_of(ATTACHED, killed), "f1-kill")
    assert sent == "POST /containers/<world[0]>/kill?signal=SIGKILL"
    assert otherwise.startswith("(where the container of world[0] has a restart policy: ")


def test_what_is_attached_to_is_locked_and_left_running() -> None:
    calls = calls_of(ATTACHED, fault("for: 1s, fault: partition, on: gateway-world, mode: refuse"))
    assert told(calls, "compose") == told(calls, "services") == []
    project = [call for call in calls if call.by == "project"]
    assert project[0].what == "lock the compose project theirs of /nonexistent for this run"
    assert "nothing is brought up" in project[1].what
    assert project[1].undo[0] == "POST /containers/<ledger[0]>/start if it is down"
    assert project[-1].what == "unlock it; all of it is left running, as it was found"
    (cut, _) = told(calls, "f1-partition")
    assert cut == (
        "in <network namespace of gateway[0]>: iptables-restore --noflush -w 2 <<< *filter; :CHAIN - [0:0]; -A CHAIN "
        "-d <address of world[0]> -p tcp --dport 7100 -j REJECT --reject-with tcp-reset; "
        "-I OUTPUT 1 ! -o lo -p tcp -j CHAIN; -I INPUT 1 ! -i lo -p tcp -j CHAIN; COMMIT"
    )
