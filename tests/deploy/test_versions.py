"""A replica that is started as another version, and as its own again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaosctl.deploy.process import ProcessDriver
from chaosctl.errors import ChaosctlError
from chaosctl.faults.contract import ProcessControl

from .conftest import BOUND_S, Sink, wait_until

pytestmark = pytest.mark.e2e

Deploy = Callable[..., ProcessDriver]


def saying(word: str) -> list[str]:
    return ["sh", "-c", f'echo "{word} $COLOUR ${{self.main}} ${{state}}"; exec sleep 600']


def service(**more: Any) -> dict[str, Any]:
    return {"run": saying("own"), "ports": ["main"], "ready": {"log": "(own|other) .*"}, **more}


def replaced(one: ProcessControl) -> None:
    pid = one.pid()
    assert pid is not None
    one.hold_down()
    one.signal("SIGTERM")
    assert one.exit_of(pid, BOUND_S) is not None
    one.release()


def test_another_version_has_the_same_ports_and_state_and_is_named_in_the_events(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": service()})
    driver.up({})
    one = driver.process("one", 0)
    own = one.standing()
    assert (own.wanted, own.version, own.outdated, own.ready) == (None, None, False, True)
    one.use("2", saying("other"), {"COLOUR": "red-${index}"})
    assert one.standing().added == {}
    assert one.standing().outdated
    assert one.standing().version is None
    replaced(one)
    sink.wait_for("service_ready", 2)
    assert (one.standing().version, one.standing().outdated, one.standing().ready) == ("2", False, True)
    assert one.standing().added == {"COLOUR": "red-0"}
    one.use_own()
    replaced(one)
    sink.wait_for("service_ready", 3)
    assert (one.standing().version, one.standing().outdated) == (None, False)
    address, state = one.replica.ports["main"], one.replica.state_dir
    lines = one.replica.log_path.read_text().splitlines()
    assert lines == [f"own  {address} {state}", f"other red-0 {address} {state}", f"own  {address} {state}"]
    assert [event.get("version") for event in sink.of("service_started")] == [None, "2", None]
    assert not any("said" in event for event in sink.of("service_exited")), "they ended as asked"


def test_the_restart_policy_starts_the_version_that_is_deployed(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": service(restart={"after": "10ms"})})
    driver.up({})
    one = driver.process("one", 0)
    one.use("2", saying("other"), {})
    one.signal("SIGKILL")
    assert sink.wait_for("service_started", 2)[1]["version"] == "2"
    sink.wait_for("service_ready", 2)


def test_what_ends_before_it_is_ready_leaves_its_last_words(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": service()})
    driver.up({})
    one = driver.process("one", 0)
    one.use("2", ["sh", "-c", "echo first; echo cannot read the state >&2; exit 3"], {})
    replaced(one)
    ended = sink.wait_for("service_exited", 2)[1]
    assert (ended["code"], ended["expected"]) == (3, False)
    assert ended["said"] == ["first", "cannot read the state"] == one.said(), "and nothing from before"
    assert not one.standing().ready
    wait_until(lambda: one.pid() is None, "its end")


def test_a_command_that_cannot_be_completed_changes_nothing(deploy: Deploy) -> None:
    driver = deploy({"one": service()})
    driver.allocate()
    one = driver.process("one", 0)
    with pytest.raises(ChaosctlError, match="was never started"):
        one.use("2", saying("other"), {})
    driver.up({})
    with pytest.raises(ChaosctlError, match="has no value here"):
        one.use("2", ["sh", "${self.mian}"], {})
    assert not one.standing().outdated
