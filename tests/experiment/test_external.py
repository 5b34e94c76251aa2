"""What an experiment on services that are not ours must say, and must not ask for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from chaosctl.errors import ExperimentError
from chaosctl.experiment.loader import Loaded, load_experiment
from chaosctl.faults.registry import fault_kinds
from chaosctl.plan.build import build_plan
from chaosctl.verify.registry import objective_kinds

Load = Callable[..., Loaded]
Wrong = Callable[..., list[str]]

EXTERNAL = """\
name: elsewhere
hypothesis: It serves.
target:
  driver: external
  services:
    world:
      addresses: { main: "10.0.0.5:7000" }
      probe: { send: "PING", expect: PONG }
    gateway:
      addresses: { main: ["10.0.0.6:7000", "gw-2.example:7000"] }
      probe: { send: "PING", expect: PONG }
  links:
    bots-gateway: { to: gateway }
    gateway-world: { from: gateway, to: world, listen: "127.0.0.1:7999" }
swarm: { bots: "bots.py:Player", users: 4 }
timeline:
  - at: 1s
    for: 2s
    fault: command
    on: world
    inject: [ssh, "${self.main.host}", stop]
    heal: [ssh, "${self.main.host}", start]
duration: 10s
"""


@pytest.fixture
def load(tmp_path: Any) -> Load:
    """Load with the kinds that there really are."""

    def load_text(text: str = EXTERNAL, *overrides: str, **environ: str) -> Loaded:
        (tmp_path / "bots.py").touch()
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return load_experiment(path, fault_kinds(), objective_kinds(), overrides=overrides, environ=environ)

    return load_text


@pytest.fixture
def wrong(load: Load) -> Wrong:
    def problems_of(text: str = EXTERNAL, *overrides: str, **environ: str) -> list[str]:
        with pytest.raises(ExperimentError) as caught:
            load(text, *overrides, **environ)
        return [problem.text for problem in caught.value.problems]

    return problems_of


def test_ports_and_replicas_follow_from_the_addresses(load: Load) -> None:
    loaded = load()
    gateway = loaded.experiment.target.services["gateway"]
    assert (gateway.ports, gateway.replicas, gateway.run) == (("main",), 2, None)
    proxies = {proxy.name: proxy.listen for proxy in build_plan(loaded, 1, fault_kinds()).proxies}
    assert proxies == {"bots-gateway.all.0": None, "bots-gateway.all.1": None, "gateway-world.0": "127.0.0.1:7999"}


REFUSED = [
    ('main: "10.0.0.5:7000"', "", ["add `addresses: { main:", *4 * [""]]),
    ('"10.0.0.5:7000"', "10.0.0.5", ["is not an address; write a name or an IPv4 address"]),
    ('"10.0.0.5:7000"', '"10.0.0.5:70000"', ["is not an address"]),
    ('"10.0.0.5:7000"', "[]", ["the list is empty; write one address for each replica"]),
    ("    world:\n", "    world:\n      replicas: 3\n", ["3 replicas and 1 addresses here", "write 3 addresses"]),
    ("    world:\n", "    world:\n      ports: [main, status]\n", ["where the port 'status'"]),
    ("    world:\n", "    world:\n      ready: { log: up }\n", ["does not see its log; use tcp, http or command"]),
    (', listen: "127.0.0.1:7999"', "", ['where the relay is; add `listen: "127.0.0.1:PORT"`']),
    ("{ to: gateway }", '{ to: gateway, listen: "h:1" }', ["leads to 2 replicas, each with a relay of its own"]),
    ("duration: 10s", "duration: 10s\nobjectives: { metrics: { world: { threads: { at_most: 9 } } } }",
     ["does not see its processes; judge numbers that it offers"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), REFUSED)
def test_what_cannot_be_is_refused_with_the_mend(wrong: Wrong, old: str, new: str, expected: list[str]) -> None:
    assert old in EXTERNAL
    problems = wrong(EXTERNAL.replace(old, new, 1))
    assert len(problems) == len(expected), problems
    assert all(part in problem for part, problem in zip(expected, problems, strict=True)), problems


OURS_ONLY = sorted(name for name, kind in fault_kinds().items() if kind.acts_on == "service" and not kind.of_others)


@pytest.mark.parametrize("name", OURS_ONLY)
def test_no_fault_acts_on_processes_that_are_not_ours(wrong: Wrong, name: str) -> None:
    item = YAML(typ="safe").load(fault_kinds()[name].example) | {"on": "world"}
    problems = wrong(EXTERNAL, f"timeline={json.dumps([item])}")
    assert any(
        f"chaosctl did not start 'world' (driver external), so {name} cannot act on it; use `fault: command`" in one
        for one in problems
    ), problems


def test_no_disk_is_given_to_what_is_not_ours(wrong: Wrong) -> None:
    (problem,) = wrong(EXTERNAL, "target.services.world.disk=64MiB")
    assert "chaosctl does not start 'world', so it cannot give it a disk; leave `disk` out" in problem


def test_a_digest_over_a_kill_is_not_asked_for(wrong: Wrong) -> None:
    text = EXTERNAL.replace("    world:\n", "    world:\n      offers: { digest: { command: [d] } }\n")
    (problem,) = wrong(text + "objectives: { same_digest: kill }\n")
    assert "chaosctl ends no service that it did not start; leave it out" in problem


def test_links_of_containers_cannot_be_fixed(wrong: Wrong) -> None:
    text = EXTERNAL.replace("driver: external", "driver: docker").replace(
        "    world:\n", "    world:\n      image: w\n"
    )
    text = text.replace("    gateway:\n", "    gateway:\n      image: g\n")
    (problem,) = wrong(text)
    assert "leave `listen` out, or use driver process or external" in problem


def test_cohorts_have_relays_of_their_own(wrong: Wrong) -> None:
    text = EXTERNAL.replace("{ to: gateway }", '{ to: gateway, listen: ["h:1", "h:2"] }')
    (problem,) = wrong(text.replace("users: 4", "users: 4, cohorts: { a: { share: 50% }, b: { share: 50% } }"))
    assert "2 cohorts have relays of their own on this link; leave `listen` out, or have one cohort" in problem


@pytest.mark.parametrize("key", ["inject", "heal"])
def test_the_environment_is_never_written_into_a_command(wrong: Wrong, load: Load, key: str) -> None:
    text = EXTERNAL.replace(f'{key}: [ssh, "${{self.main.host}}"', f'{key}: [ssh, "x${{TOKEN}}"')
    (problem,) = wrong(text, TOKEN="s3cret")
    assert "'${TOKEN}' would be written down in the run, where secrets must not be; have a shell read it" in problem
    assert "s3cret" not in problem
    read = EXTERNAL.replace(f'{key}: [ssh, "${{self.main.host}}"', f'{key}: [sh, -c, "x $TOKEN"')
    assert "x $TOKEN" in load(read, TOKEN="s3cret").fault_params[0].model_dump()[key]


def test_a_command_may_come_by_chance_too(load: Load) -> None:
    fault = "fault: command, on: any 1 of gateway, every: 2s, for: 1s, inject: [a, '${index}'], heal: [b]"
    loaded = load(EXTERNAL, "timeline=[]", f"chaos={{ faults: [{{ {fault} }}] }}")
    drawn = build_plan(loaded, 3, fault_kinds()).faults
    assert drawn and {one.params["inject"][1] for one in drawn} == {"${index}"}
