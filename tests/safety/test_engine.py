"""What takes a run's containers away: all that is the run's, nothing that is not, again and again, and in sentences."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.safety import engine as engine_module
from chaosctl.safety.engine import RUN_LABEL, Engine, EngineError, local_engine, named_engine
from chaosctl.safety.undo import ContainersUndo, UnpauseUndo, play
from tests.safety.engine import FakeEngine, listening, over_tcp

OURS, THEIRS = {RUN_LABEL: "r1"}, {RUN_LABEL: "r2"}


@pytest.fixture(autouse=True)
def _shorter_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_QUIET_S", 0.01)
    monkeypatch.setattr(engine_module, "_ROUNDS", 5)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "engine.sock")
    engine.things["containers"] = {"c1": OURS, "c2": OURS, "c3": THEIRS, "c4": {}}
    engine.things["networks"] = {"n1": OURS, "n2": THEIRS}
    engine.things["volumes"] = {"v1": OURS, "v2": {}}
    engine.things["images"] = {"i1": OURS, "i2": {}}
    with listening(engine) as running:
        yield running


def undo(fake: FakeEngine) -> ContainersUndo:
    return ContainersUndo(str(fake.path), "r1")


def test_all_of_the_run_goes_and_nothing_else(fake: FakeEngine) -> None:
    fake.things["containers"].pop("c3")  # or no network could be removed from this engine
    fake.things["containers"].pop("c4")
    played = play(undo(fake))
    assert (played.done, played.text) == (True, "removed 5 containers and networks of run r1")
    left = {"containers": {}, "networks": {"n2": THEIRS}, "volumes": {"v2": {}}, "images": {"i2": {}}}
    assert fake.things == left


def test_it_may_be_played_again(fake: FakeEngine) -> None:
    fake.things["containers"].clear()
    play(undo(fake))
    asked = len(fake.asked)
    played = play(undo(fake))
    assert (played.done, played.text) == (True, "no container or network is left of run r1")
    assert not any(one.startswith("DELETE") for one in fake.asked[asked:])


def test_what_cannot_be_removed_is_named_with_the_command_that_does_it(fake: FakeEngine) -> None:
    fake.stuck = {"c2"}
    played = play(undo(fake))
    assert not played.done
    assert played.text == "container c2 could not be removed (c2 is stuck); remove it with `docker rm -f c2`"
    assert set(fake.things["containers"]) == {"c2", "c3", "c4"}


def test_what_the_engine_never_ends_removing_is_left(fake: FakeEngine) -> None:
    fake.says["DELETE", "/containers/c2"] = (409, {"message": "removal of container c2 is already in progress"})
    played = play(undo(fake))
    assert (played.done, played.text) == (False, "container c2 was still being removed")


def test_what_comes_up_while_it_looks_is_removed_too(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.things = {"containers": {}, "networks": {}, "volumes": {}}
    late = iter([{"c9": OURS}])

    def appear(_: float) -> None:
        fake.things["containers"].update(next(late, {}))

    monkeypatch.setattr(engine_module.time, "sleep", appear)
    assert play(undo(fake)).text == "removed 1 containers and networks of run r1"
    assert fake.things["containers"] == {}


def test_without_an_engine_it_is_not_done(tmp_path: Path) -> None:
    played = play(ContainersUndo(str(tmp_path / "none.sock"), "r1"))
    assert not played.done
    assert "containers of run r1 may be left: no Docker Engine listens at" in played.text


@pytest.mark.parametrize(
    ("status", "message", "done", "said"),
    [
        (204, "", True, "unpaused container c1"),
        (404, "No such container: c1", True, "is gone: nothing to undo"),
        (409, "Container c1 is not paused", True, "is not paused: nothing to undo"),
        (500, "Container c1 is not paused", True, "is not paused: nothing to undo"),
        (500, "the freezer broke", False, "was not unpaused: the freezer broke"),
    ],
)
def test_an_unpause_is_done_when_the_container_runs_or_is_gone(
    fake: FakeEngine, status: int, message: str, done: bool, said: str
) -> None:
    fake.says["POST", "/containers/c1/unpause"] = (status, {"message": message})
    played = play(UnpauseUndo(str(fake.path), "c1"))
    assert (played.done, said in played.text) == (done, True)


def refusal(engine: Engine, within_s: float = 5.0) -> EngineError:
    with pytest.raises(EngineError) as caught:
        engine.ask("GET", "/version", None, within_s)
    return caught.value


def test_each_way_not_to_answer_has_its_sentence(tmp_path: Path) -> None:
    silent = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(silent))
        assert "does not answer (" in str(refusal(Engine(str(silent))))
        listener.listen()
        assert "does not answer in time" in str(refusal(Engine(str(silent)), 0.05))
    assert "set DOCKER_HOST to its socket" in str(refusal(Engine(str(tmp_path / "none"))))


def test_a_socket_that_one_may_not_use(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)  # as root, who runs tests in containers, may use every one
    assert "add it to the group `docker`" in str(refusal(Engine(str(fake.path))))


def test_a_refusal_has_the_words_and_the_status_of_the_engine(fake: FakeEngine) -> None:
    fake.says["GET", "/version"] = (503, {"message": "going down"})
    error = refusal(Engine(str(fake.path)))
    assert (str(error), error.status) == ("going down", 503)


def test_only_an_engine_of_this_machine() -> None:
    with pytest.raises(EngineError, match=r"only an engine of this machine can be used.* run chaosctl on 10.0.0.1"):
        local_engine({"DOCKER_HOST": "tcp://10.0.0.1:2375"})


def test_what_the_environment_names_wrongly_is_an_error_of_the_engine() -> None:
    with pytest.raises(EngineError, match="chaosctl speaks no ssh"):
        named_engine({"DOCKER_HOST": "ssh://box"})


def test_the_same_engine_over_tcp(fake: FakeEngine) -> None:
    fake.things["containers"].pop("c3")
    fake.things["containers"].pop("c4")
    with over_tcp(fake.path) as address:
        assert Engine(address).is_remote
        assert play(ContainersUndo(address, "r1")).text == "removed 5 containers and networks of run r1"
    error = refusal(Engine(address))
    assert f"the Docker Engine at {address} does not answer (" in str(error)
    assert error.status is None
