"""An engine reached over TCP counts as one of another machine: links lead through a relay beside the containers, state
comes over the wire, nothing stays there, and what needs that machine itself is refused before anything starts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.safety.engine import Engine, local_engine, remove_run
from tests.e2e.engines import bystander, containers, everything_of
from tests.e2e.harness import HELD, TINY, Place, Run, one_sentence, wait_until
from tests.e2e.shortened import sets
from tests.safety.engine import over_tcp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.needs("docker", "toxiproxy")]

LINKED = HELD.parent / "linked.yaml"
IN_CONTAINERS = sets("target.driver=docker")
AUTO, CONTAINER = ("--relay", "auto"), ("--relay", "container")
Runs = dict[str, Run]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return local_engine()


@pytest.fixture(scope="module")
def remote(engine: Engine) -> Iterator[str]:
    with over_tcp(Path(engine.address)) as address:
        yield address


@pytest.fixture(scope="module")
def runs(place: Place, engine: Engine, remote: str) -> Iterator[Runs]:
    """Two whole runs side by side; whatever a failing test leaves is removed."""
    runs = {
        "remote": place.run("remote", *AUTO, file=LINKED, DOCKER_HOST=remote),
        "local": place.run("local", *CONTAINER, file=LINKED),
    }
    yield runs
    for run in runs.values():
        run.end_for_good()
        if run.run_id:
            remove_run(engine, run.run_id, 20.0)


@pytest.mark.parametrize("name", ["remote", "local"])
def test_links_between_containers_lead_through_a_relay_beside_them(runs: Runs, engine: Engine, name: str) -> None:
    run = runs[name]
    ended = run.ended(150)
    assert ended.code == 0, ended
    (relay,) = run.events("relay")
    assert (relay["kind"], relay["in_container"]) == ("toxiproxy", True)
    on_links = {"f1-latency", "f2-partition"}
    assert {one["fault"] for one in run.events("fault_proved") if one["proved"]} == {*on_links, "f3-kill"}
    assert {one["fault"] for one in run.events("fault_heal_proved") if one["proved"]} >= on_links
    assert [one["start"] for one in run.events("service_started") if one["service"] == "tiny"] == [1, 2]
    assert run.events("cleanup_failed") == []
    assert everything_of(engine, run.run_id) == []
    # What the killed server could not be asked about is in its log.
    assert "Unable to open connection to upstream" in (run.bundle / "logs" / "relay.log").read_text()
    # Its container had a folder of ours, or a volume of which its offered file was fetched.
    assert (run.bundle / "state" / "tiny-0" / "store").read_text().count(".\n") > 10
    run.nothing_is_left()


@pytest.fixture
def held(place: Place, engine: Engine, remote: str) -> Iterator[Run]:
    run = place.run("killed", *AUTO, *IN_CONTAINERS, file=HELD, DOCKER_HOST=remote)
    yield run
    run.end_for_good()
    remove_run(engine, run.run_id, 20.0)


def test_killed_nothing_stays_there(held: Run, engine: Engine) -> None:
    held.wait_until_held()
    with bystander(engine) as other:
        # The service, its relay and the relay's image, the volume of its state, the network.
        assert len(everything_of(engine, held.run_id)) == 5
        held.signal(signal.SIGKILL)
        wait_until(lambda: not everything_of(engine, held.run_id), "everything of it is gone")
        assert other in containers(engine, "another-run")
    held.nothing_is_left(within_s=20.0)
    assert held.events("cleanup_failed") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (sets("timeline=[{ at: 0s, fault: crash, on: tiny }]"), "f1-crash: crash acts on"),
        (sets("timeline=[{ at: 0s, for: 1s, fault: loss, on: tiny, share: 20% }]"), "f1-loss: loss acts on"),
        (("--relay", "embedded"), "containers elsewhere do not reach a relay on this machine"),
        (
            sets('target.services.tiny.offers={ digest: { command: [cat, "${state}/store"] } }'),
            "tiny offers digest by a command with ${state}",
        ),
    ],
)
def test_what_needs_that_machine_is_refused(
    place: Place, remote: str, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    bundle = tmp_path / "bundle"
    relay = () if "--relay" in words else AUTO
    ended = place.chaosctl("run", TINY, "--out", bundle, *relay, *IN_CONTAINERS, *words, DOCKER_HOST=remote)
    assert ended.code == 4, ended
    one_sentence(ended, said, "the Docker Engine at tcp://127.0.0.1:", "run chaosctl there")
    assert not bundle.exists()


def test_an_engine_that_is_not_there_is_said_in_a_sentence(place: Place, tmp_path: Path) -> None:
    words = ("run", TINY, "--out", tmp_path / "bundle", "--quiet", *AUTO, *IN_CONTAINERS)
    ended = place.chaosctl(*words, DOCKER_HOST="tcp://127.0.0.1:1")
    assert ended.code == 4, ended
    one_sentence(ended, "the Docker Engine at tcp://127.0.0.1:1 does not answer (", "or correct DOCKER_HOST")
    ended = place.chaosctl(*words, DOCKER_HOST="ssh://box")
    assert ended.code == 4, ended
    one_sentence(ended, "chaosctl speaks no ssh", "ssh -N -L")


def test_there_has_to_be_something_to_make_the_relay_from(place: Place, tmp_path: Path) -> None:
    words = ("run", TINY, "--out", tmp_path / "bundle", "--quiet", *CONTAINER)
    ended = place.chaosctl(*words, *IN_CONTAINERS, "--relay-image", "no/such:image")
    assert ended.code == 4, ended
    one_sentence(ended, "has no image 'no/such:image' for the relay", "docker pull no/such:image")
    ended = place.chaosctl(*words)
    assert ended.code == 2, ended
    one_sentence(ended, "--relay container needs driver docker, and the driver is process")
