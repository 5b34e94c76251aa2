"""What driver `compose` needs of an experiment, and what it refuses, with the place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaosctl.experiment.extends import load_tree
from chaosctl.experiment.loader import Loaded
from chaosctl.experiment.yaml_source import to_plain

from .conftest import GOOD

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]

COMPOSE = (
    GOOD.replace("target:\n", "target:\n  driver: compose\n  compose: { file: compose.yaml }\n")
    .replace("      ports: [main]\n", "      container_ports: { main: 7000 }\n")
    .replace("      ports: [main, status]\n", "      container_ports: { main: 7000, status: 7001 }\n")
)
ATTACHED = COMPOSE.replace("{ file: compose.yaml }", "{ attach: true, project: hand }").replace(
    "  - { at: 0s, for: 6s, fault: latency, on: gateway-world, latency: 80ms, jitter: 20ms }\n", ""
)


SLOW = "at: 1s, for: 1s, fault: latency, on: world-ledger, latency: 1s"


@pytest.fixture(autouse=True)
def _file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").touch()


def only(wrong: Wrong, text: str, *overrides: str) -> str:
    problems = wrong(text, *overrides)
    assert len(problems) == 1, problems
    return problems[0]


def test_ports_follow_from_their_numbers_and_other_drivers_keys_are_not_wrong(load: Load) -> None:
    target = load(COMPOSE).experiment.target
    assert target.services["world"].ports == ("main", "status")
    assert (target.compose.file, target.compose.attach, target.compose.project) == ("compose.yaml", False, None)


def test_every_port_has_a_number(wrong: Wrong) -> None:
    text = COMPOSE.replace("      container_ports: { main: 7000, status: 7001 }\n", "      ports: [main, status]\n")
    assert [one.split(": ", 1)[1] for one in wrong(text)] == [
        f"nothing says which number the port '{port}' has inside; add `container_ports: {{ {port}: 7000 }}`"
        for port in ("main", "status")
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("target.compose={}", "nothing says what is brought up; add `compose: { file: compose.yaml }`"),
        ("target.compose={file: other.yaml}", "other.yaml'; paths are relative to"),
        ("target.compose.project=Not A Name", "'Not A Name' does not fit"),
        ("target.services.gateway.state=/data", "2 replicas would share one folder"),
        ("target.links.world-ledger.listen=127.0.0.1:1", "containers are told where the relay is"),
    ],
)
def test_what_it_needs(wrong: Wrong, override: str, said: str) -> None:
    assert said in only(wrong, COMPOSE, override)


def test_two_links_need_two_ports(wrong: Wrong) -> None:
    text = COMPOSE.replace("swarm:\n", "    again: { from: gateway, to: world, port: main }\nswarm:\n", 1)
    problem = only(wrong, text)
    assert problem.startswith("28:5: 'gateway-world' leads from 'gateway' to the same port of 'world'"), problem


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("target.compose={attach: true}", "nothing says which project is attached to; add `project: NAME`"),
        ("target.services.world.restart={after: 1s}", "is left as it is found, with its own restart policy"),
        ("target.services.world.state=/data", "is left as it is found"),
        ("target.services.world.ready={log: up}", "what it printed before it was attached to is not seen"),
        ("probe={through: gateway-world}", "'gateway-world' has no relay"),
        (f"timeline[1]={{{SLOW}}}", "partition cuts it all the same"),
        ("timeline[1].how=reset", "so it cannot be reset; write blackhole"),
    ],
)
def test_what_is_attached_to_is_left_as_it_is(load: Load, wrong: Wrong, override: str, said: str) -> None:
    assert load(ATTACHED).experiment.target.compose.project == "hand"
    assert said in only(wrong, ATTACHED, override)


def test_an_inherited_compose_file_is_where_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "experiment.yaml").write_text(COMPOSE)
    child = tmp_path / "below" / "child.yaml"
    child.write_text("extends: ../experiment.yaml\n")
    root, _ = load_tree(child, {})
    assert to_plain(root)["target"]["compose"]["file"] == "../compose.yaml"
