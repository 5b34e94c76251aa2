"""Targets in containers, on a real engine: the same experiments pass, and nothing of them stays, however a run ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.safety.engine import Engine, local_engine, remove_run
from tests.e2e.engines import Way, all_of, bystander, containers
from tests.e2e.harness import HELD, Ended, Place, Run, wait_until
from tests.e2e.shortened import ARENA, SHORT, passed, sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker")]

IN_CONTAINERS = sets("target.driver=docker")
# Starting a container takes the engine about a second, more on a busy machine.
SLOWER = sets(
    *("swarm.users=30", "timeline[1].at=5s", "timeline[2].at=13s", "duration=18s"),
    *("objectives.recovery.serviceable=7s", "objectives.recovery.steady=7s"),
)
ON_LINKS = ("cut-off", "one-way", "slow-ledger")
Runs = dict[str, Run]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return local_engine()


@pytest.fixture(scope="module")
def way(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    way = Way(tmp_path_factory.mktemp("way") / "engine.sock", engine)
    yield way
    way.cut()


@pytest.fixture(scope="module")
def runs(place: Place, way: Way, engine: Engine) -> Iterator[Runs]:
    """Two short runs to be broken off, side by side; whatever a failing test leaves is removed."""
    runs = {
        "killed": place.run("killed", *IN_CONTAINERS, file=HELD),
        "cut-off": place.run("cut-off", *IN_CONTAINERS, file=HELD, DOCKER_HOST=f"unix://{way.path}"),
    }
    yield runs
    for run in runs.values():
        run.end_for_good()
        if run.run_id:
            remove_run(engine, run.run_id, 20.0)


def test_killed_its_containers_and_its_network_go_and_those_of_others_stay(runs: Runs, engine: Engine) -> None:
    run = runs["killed"]
    with bystander(engine) as other:
        run.wait_until_held()
        assert len(all_of(engine, run.run_id)) == 2
        run.signal(signal.SIGKILL)
        wait_until(lambda: not all_of(engine, run.run_id), "its containers and its network are gone")
        assert other in containers(engine, "another-run")
    run.nothing_is_left(within_s=10.0)
    assert run.events("interrupted")[0]["by"] == "keeper"
    assert run.events("cleanup_failed") == []


def test_without_its_engine_a_run_is_inconclusive_and_is_restored_once_that_is_back(
    place: Place, runs: Runs, way: Way, engine: Engine
) -> None:
    run = runs["cut-off"]
    run.wait_until_held()
    way.cut()
    ended = run.ended()
    assert ended.code == 6, ended
    assert "the engine crashed" in ended.out
    assert run.events("crashed")[0]["part"] == "engine"
    assert run.abandoned
    refused = place.chaosctl("restore", run.run_id)
    assert refused.code == 8, refused
    assert "no Docker Engine listens at" in refused.err
    assert len(containers(engine, run.run_id)) == 1
    way.restore()
    restored = place.chaosctl("restore", run.run_id)
    assert restored.code == 0, restored
    assert f"removed 2 containers and networks of run {run.run_id}" in restored.out
    assert all_of(engine, run.run_id) == []
    run.nothing_is_left()
    assert "nothing to restore" in place.chaosctl("restore", run.run_id).out


def test_world_crash_passes_in_containers_too(place: Place, engine: Engine) -> None:
    whole = (*SHORT["world-crash"], *SLOWER, *IN_CONTAINERS)
    run = place.run("arena", *whole, file=ARENA / "world-crash.yaml")
    passed(run, run.ended(150), "embedded")
    assert all_of(engine, run.run_id) == []
    of_run(run)
    told_of_the_kill(run)


@pytest.fixture(scope="module")
def on_links(place: Place) -> dict[str, tuple[Run, Ended]]:
    """Short runs of the arena's experiments on links, side by side."""
    words = (*sets("swarm.users=30", "probe.timeout=800ms"), *IN_CONTAINERS)
    runs = {name: place.run(f"links-{name}", *SHORT[name], *words, file=ARENA / f"{name}.yaml") for name in ON_LINKS}
    return {name: (run, run.ended(150)) for name, run in runs.items()}


@pytest.mark.parametrize("name", ON_LINKS)
def test_links_are_cut_one_way_and_slow_in_containers_too(on_links: dict[str, tuple[Run, Ended]], name: str) -> None:
    run, ended = on_links[name]
    passed(run, ended, "embedded")


def of_run(run: Run) -> None:
    """The bundle says what the containers were made from, and has what each of them printed."""
    images = json.loads((run.bundle / "run.json").read_text())["images"]
    assert images.keys() == {"ledger", "world", "gateway"}
    assert all(image["id"].startswith("sha256:") for image in images.values())
    for name in ("ledger-0", "world-0", "gateway-0", "gateway-1"):
        assert (run.bundle / "logs" / f"{name}.log").read_text().strip(), name


def told_of_the_kill(run: Run) -> None:
    """The world ended by SIGKILL, unexpected by nobody, and came back; all others took their leave."""
    exits = run.events("service_exited")
    killed = [one for one in exits if one["signal"] == "SIGKILL"]
    assert [(one["service"], one["expected"]) for one in killed] == [("world", True)]
    assert {one["code"] for one in exits if one not in killed} == {0}
    assert [one["start"] for one in run.events("service_started") if one["service"] == "world"] == [1, 2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            sets("target.services.tiny.run=[nosuchprogram]"),
            ('"nosuchprogram": executable file not found', "mend `run`"),
        ),
        (sets("target.services.tiny.ready={health: true}"), ("has no health check; add HEALTHCHECK",)),
    ],
)
def test_what_cannot_run_is_said_in_a_sentence(
    place: Place, engine: Engine, tmp_path: Path, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    run = place.run(tmp_path.name, *IN_CONTAINERS, *words, "--quiet", file=HELD, out=tmp_path / "bundle")
    ended: Ended = run.ended()
    assert ended.code == 4, ended
    assert all(part in ended.err for part in said), ended.err
    assert all_of(engine, run.run_id) == []
    run.nothing_is_left()
