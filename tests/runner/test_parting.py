"""Who stands in which group when a split is due."""

from __future__ import annotations

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.experiment.groups import REST
from chaosctl.experiment.model import Service
from chaosctl.experiment.places import parse_on
from chaosctl.runner.parting import Parting
from chaosctl.runner.roles import Answers, RoleAnswer

SERVICES = {"world": Service(run=("w",), replicas=3), "gateway": Service(run=("g",), replicas=2)}
WORLD = parse_on("world")


def parting(*asked: str) -> Parting:
    def ask(service: str) -> Answers:
        assert service not in asked_before, "once is enough"
        asked_before.append(service)
        return {0: RoleAnswer("follower"), 1: RoleAnswer("leader"), 2: RoleAnswer("follower")}

    asked_before: list[str] = []
    return Parting(SERVICES, ask)


def test_a_service_is_all_its_replicas_and_the_rest_is_in_no_other_group() -> None:
    found = parting().members([["world[0]", "gateway"], [REST]], WORLD)
    assert found == ((("gateway", 0), ("gateway", 1), ("world", 0)), (("world", 1), ("world", 2)))


def test_roles_are_asked_for_once_and_what_was_said_is_kept() -> None:
    resolving = parting()
    found = resolving.members([["leader of world"], ["every follower of world"]], WORLD)
    assert found == ((("world", 1),), (("world", 0), ("world", 2)))
    assert resolving.roles == {"world[0]": "follower", "world[1]": "leader", "world[2]": "follower"}


def test_nobody_is_parted_by_a_guess() -> None:
    with pytest.raises(NotReadyError, match="2 replicas of world say that they are follower"):
        parting().members([["follower of world"], [REST]], WORLD)
    with pytest.raises(NotReadyError, match="nobody is in the group 'the rest', so there is nobody to part it from"):
        parting().members([["world"], [REST]], WORLD)
