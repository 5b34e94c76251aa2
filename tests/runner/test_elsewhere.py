"""What an engine of another machine cannot be used for, and that everything else is let through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosctl.errors import NotReadyError, UsageError
from chaosctl.experiment.model import Target
from chaosctl.faults.registry import faults
from chaosctl.plan.model import Plan, PlannedFault
from chaosctl.runner.elsewhere import refuse_what_cannot_be_there
from chaosctl.runner.relays import WantedRelay
from tests.report.bundle import plan as a_plan

FAR = {"DOCKER_HOST": "tcp://box:2375"}
AUTO = WantedRelay(image="toxiproxy")


def planned(kind: str, **params: Any) -> PlannedFault:
    acts_on = faults()[kind].kind.acts_on
    return PlannedFault("f1", kind, acts_on, "world", params, 0, None)


def refuse(
    *planned: PlannedFault,
    relay: WantedRelay = AUTO,
    driver: str = "docker",
    offers: dict[str, Any] | None = None,
    environ: dict[str, str] = FAR,
    **objectives: Any,
) -> None:
    service = {"image": "w", "ports": ["main"], "offers": offers or {}}
    target = Target.model_validate({"driver": driver, "services": {"world": service}})
    plan: Plan = replace(a_plan(), faults=planned, objectives=objectives)
    refuse_what_cannot_be_there(target, plan, faults(), relay, environ)


@pytest.mark.parametrize("kind", ["kill", "stop", "pause", "restart", "deploy", "rollback", "command", "latency"])
def test_what_the_engine_or_a_relay_does_works_there(kind: str) -> None:
    refuse(planned(kind))


@pytest.mark.parametrize("kind", ["crash", "loss", "block", "cpu", "memory", "disconnect", "split", "freeze"])
def test_what_acts_on_that_machine_itself_does_not(kind: str) -> None:
    with pytest.raises(NotReadyError, match=rf"f1: {kind} acts on .* tcp://box:2375 counts .*, or run chaosctl there"):
        refuse(planned(kind))
    refuse(planned(kind), environ={})


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"relay": WantedRelay("embedded")}, "do not reach a relay on this machine"),
        ({"relay": WantedRelay("auto", "http://127.0.0.1:8474")}, "do not reach a relay on this machine"),
        (
            {"offers": {"backup": ["cp", "${state}/db", "${backup}"]}},
            "world offers backup by a command",
        ),
        ({"offers": {"status": {"command": ["cat", "${state}/role"]}}}, "world offers status by a command"),
        (
            {"metrics": {"by_service": {"world": {"memory_bytes": {"at_most": 1}}}}},
            "the objective metrics judges memory_bytes of world",
        ),
    ],
)
def test_what_would_have_to_look_there_does_not(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(NotReadyError, match=said):
        refuse(**wanted)
    refuse(**wanted, environ={})


def test_a_command_that_reads_the_state_does_not() -> None:
    with pytest.raises(NotReadyError, match=r"f1: \${state} is a volume"):
        refuse(planned("command", inject=["rm", "${state}/db"], heal=["true"]))


def test_what_is_offered_as_files_is_fetched() -> None:
    refuse(offers={"input_log": "${state}/inputs", "digests": "${state}/digests"})
    refuse(metrics={"by_service": {"world": {"clients": {"at_most": 1}}}})


def test_compose_wants_an_engine_of_this_machine() -> None:
    target = Target.model_validate({"driver": "compose", "compose": {"file": "c.yaml"}, "services": {"world": {}}})
    with pytest.raises(NotReadyError, match=r"DOCKER_HOST is tcp://box:2375: only an engine of this machine"):
        refuse_what_cannot_be_there(target, a_plan(), faults(), AUTO, FAR)
    refuse_what_cannot_be_there(target, a_plan(), faults(), AUTO, {})


def test_a_relay_in_a_container_needs_containers_and_something_to_make_it_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--relay container needs driver docker, and the driver is process"):
        refuse(relay=WantedRelay("container"), driver="process")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHAOSCTL_TOXIPROXY", raising=False)
    for relay, environ in ((WantedRelay("container"), {}), (WantedRelay(), FAR)):
        with pytest.raises(NotReadyError, match="nothing is there to make the relay's container from"):
            refuse(relay=relay, environ=environ)
