"""kill -9 of chaosctl at any moment of a run on containers with overlapping faults: afterwards no container, network,
volume, image, rule of packets, mount, process or file of the run is left, and what was not its own is as it was. Every
third time the keeper is killed too, and `chaosctl restore` called. CHAOSCTL_KILLS_DOCKER says how often (a few; `make
kill9` for 30)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaosctl.safety.engine import Engine, EngineError, local_engine, of_run
from tests.e2e.engines import all_of, bystander
from tests.e2e.harness import HERE, Place, Run, wait_until
from tests.e2e.kernel_state import bounded, held_below, packet_rules, slowed_devices
from tests.e2e.moments import (
    Bystanders,
    in_force,
    kill,
    kill_with_keeper,
    leaves_nothing,
    moments,
    no_state_is_left,
    run_until,
)

KILLS = int(os.environ.get("CHAOSCTL_KILLS_DOCKER", "3"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("docker", "toxiproxy", "disks"),
    pytest.mark.timeout(180 + 60 * KILLS),
]

OVERLAPPING = HERE / "tiny" / "overlapping-boxed.yaml"
# While faults overlap, while it comes up, while it ends and is judged.
STRETCHES = (("load_started", 4.0), (None, 5.0), ("load_started", 4.0), ("load_ended", 2.5))
# The engine takes up to ten seconds for a container.
GONE_WITHIN_S = 40.0
MOMENTARY = frozenset({"f19-crash"})
# Of this machine: a chain that nothing leads to, so that no packet is the worse for it.
CHAIN = f"chaosctl-theirs-{os.getpid()}"
THEIRS = ("-A", "INPUT", "-p", "udp", "--dport", "9", "-j", "RETURN")


@dataclass(frozen=True)
class Neighbours:
    """What somebody else has beside the run: a container with a rule in its network, a rule of this machine."""

    engine: Engine
    container: str
    namespace: str

    def now(self) -> dict[str, Any]:
        """Return how they are."""
        found = self.engine.ask("GET", f"/containers/{self.container}/json")
        return {
            "state": found["State"],
            "network": found["NetworkSettings"],
            "inside": packet_rules(self.namespace),
            "here": [rule for rule in packet_rules() if CHAIN in rule],
        }


@contextmanager
def neighbours(engine: Engine) -> Iterator[Neighbours]:
    with bystander(engine) as container:
        found = engine.ask("GET", f"/containers/{container}/json")
        namespace = found["NetworkSettings"]["SandboxKey"]
        subprocess.run(["nsenter", f"--net={namespace}", "--", "iptables", *THEIRS], check=True)
        subprocess.run(["iptables", "-N", CHAIN], check=True)
        subprocess.run(["iptables", "-A", CHAIN, "-j", "RETURN"], check=True)
        try:
            yield Neighbours(engine, container, namespace)
        finally:
            subprocess.run(["iptables", "-F", CHAIN], check=True)
            subprocess.run(["iptables", "-X", CHAIN], check=True)


@dataclass(frozen=True)
class Traces:
    """By what the kernel knows a run: its bridges, the network namespaces and the control groups of its containers."""

    bridges: tuple[str, ...]
    namespaces: tuple[Path, ...]
    containers: tuple[str, ...]

    def left(self) -> list[str]:
        """Return what is left of them."""
        rules = [rule for rule in packet_rules() if any(bridge in rule for bridge in self.bridges)]
        links = [bridge for bridge in self.bridges if Path("/sys/class/net", bridge).exists()]
        # The engine takes the files away by and by; what counts is what is mounted on them.
        mounted = [str(path) for path in self.namespaces if os.path.ismount(path)]
        groups = [
            str(path) for one in self.containers for path in Path("/sys/fs/cgroup").glob(f"**/*{one}*/cgroup.procs")
        ]
        return rules + links + mounted + groups


def traces_of(engine: Engine, run: Run) -> Traces:
    """Look, while it is there, what there is to be looked for."""
    networks = engine.ask("GET", "/networks", filters=of_run(run.run_id)) if run.run_id else []
    containers = engine.ask("GET", "/containers/json", filters=of_run(run.run_id)) if run.run_id else []
    keys = []
    for one in containers:
        try:
            keys.append(engine.ask("GET", f"/containers/{one['Id']}/json")["NetworkSettings"]["SandboxKey"])
        except EngineError:
            continue  # gone meanwhile
    return Traces(
        tuple(f"br-{one['Id'][:12]}" for one in networks),
        tuple(Path(key) for key in keys if key),
        tuple(one["Id"] for one in containers),
    )


def nothing_of_containers(engine: Engine, run: Run, traces: Traces) -> None:
    """The engine and the kernel know nothing of it."""
    label = of_run(run.run_id)
    assert all_of(engine, run.run_id) == []
    assert not engine.ask("GET", "/volumes", filters=label)["Volumes"]
    tags = [tag for image in engine.ask("GET", "/images/json") for tag in image["RepoTags"] or ()]
    assert [tag for tag in tags if run.run_id in tag] == []
    wait_until(lambda: not traces.left(), f"nothing is left of {traces}: {traces.left()}", 5.0)
    assert held_below(run.bundle) == []
    assert bounded(slowed_devices(run.bundle)) == []
    state = run.bundle / "state"
    assert not [path.name for path in state.glob("*") if not path.is_dir() or path.suffix]


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Bystanders]:
    made = Bystanders(tmp_path)
    yield made
    made.end()


def test_at_random_moments(place: Place, theirs: Bystanders) -> None:
    engine, counts = local_engine(), []
    with neighbours(engine) as others:
        before = others.now()
        for moment in moments(STRETCHES, KILLS):
            run = run_until(place, moment, OVERLAPPING, theirs.url if moment.number % 3 else None)
            traces = traces_of(engine, run)
            (kill if moment.number % 3 < 2 else kill_with_keeper)(run)
            counts.append(in_force(run, MOMENTARY))
            try:
                if moment.number % 3 == 2:
                    restored = place.chaosctl("restore")
                    assert restored.code == 0, restored
                leaves_nothing(place, run, moment.number, theirs, GONE_WITHIN_S)
                if run.run_id:
                    nothing_of_containers(engine, run, traces)
                assert json.dumps(others.now()) == json.dumps(before)
            except AssertionError as error:
                raise AssertionError(f"{moment}, see {run.bundle}: {error}") from error
            sys.stdout.write(f"{moment.number + 1} of {KILLS}: {counts[-1]} faults in force\n")
        assert theirs.proxies() == theirs.before
    no_state_is_left(place)
    sys.stdout.write(f"{KILLS} kills, {sum(count > 0 for count in counts)} of them with faults in force\n")
