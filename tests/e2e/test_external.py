"""A server that the test starts by hand: its link is cut, a command freezes it, and it is left as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaosctl.safety.ports import reserve_ports
from chaosctl.safety.processes import thread_states
from tests.e2e.harness import HERE, Place, Run, one_sentence, wait_until
from tests.e2e.shortened import sets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EXTERNAL = HERE / "tiny" / "external.yaml"
ALLOWED = ("--allow-external", "external")
SECRET = "s3cret-0f-the-operator"


@dataclass(frozen=True)
class Server:
    """Somebody else's."""

    process: subprocess.Popen[bytes]
    env: dict[str, str]

    @property
    def frozen(self) -> bool:
        return thread_states(self.process.pid) <= {"T"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    ports = reserve_ports(2)
    main, relay = ports.numbers
    ports.release()
    command = [sys.executable, str(HERE / "tiny" / "server.py"), f"127.0.0.1:{main}", str(tmp_path / "store")]
    with subprocess.Popen(command) as process:
        env = {"TINY_PORT": str(main), "TINY_RELAY_PORT": str(relay), "TINY_PID": str(process.pid), "TOKEN": SECRET}
        yield Server(process, env)
        process.kill()


def untouched(server: Server) -> None:
    assert server.process.poll() is None
    assert not server.frozen


def words(run: Run, seq_of: str) -> str:
    entries = [json.loads(line) for line in (run.bundle / "undo.jsonl").read_text().splitlines()]
    return str(next(entry["actions"] for entry in entries if entry.get("fault") == seq_of))


def test_link_and_command_are_proved_and_it_is_left_as_it_was(place: Place, server: Server) -> None:
    run = place.run("whole", *ALLOWED, file=EXTERNAL, **server.env)
    run.wait_for("service_ready")
    second = place.run("second", *ALLOWED, file=EXTERNAL, **server.env)
    run.wait_for("fault_proved", fault="f2-command", proved=True)
    assert server.frozen
    refused = second.ended()
    assert refused.code == 4, refused
    one_sentence(refused, f"run {run.run_id} is acting on 127.0.0.1:{server.env['TINY_PORT']}")
    ended = run.ended()
    assert ended.code == 0, ended
    untouched(server)
    run.nothing_is_left()
    faults = run.verdict()["faults"]
    assert [(one["kind"], one["proved"]) for one in faults] == [("partition", True), ("command", True)]
    assert "stopped the one at" in (run.bundle / "logs" / "f2-command.log").read_text()
    assert [one["event"] for one in run.events() if one["event"].startswith("service_")] == ["service_ready"]
    kept = [path for path in run.bundle.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == []


def test_nothing_happens_unless_it_is_allowed_by_name(place: Place, server: Server) -> None:
    for named in ((), ("--allow-external", "other")):
        run = place.run(f"refused-{len(named)}", *named, file=EXTERNAL, **server.env)
        ended = run.ended()
        assert ended.code == 2, ended
        one_sentence(ended, "acts on what chaosctl did not start (tiny at 127.0.0.1:", "add --allow-external external")
        assert not run.bundle.exists()
    untouched(server)


def test_killed_in_mid_fault_the_keeper_plays_the_command_that_heals(place: Place, server: Server) -> None:
    longer = sets("timeline[1].for=50s", "duration=60s")
    run = place.run("killed", *ALLOWED, *longer, file=EXTERNAL, **server.env)
    run.wait_for("fault_proved", fault="f2-command", proved=True)
    assert server.frozen
    run.signal(signal.SIGKILL)
    wait_until(lambda: not server.frozen, "the server goes on", 5.0)
    run.nothing_is_left(within_s=5.0)
    untouched(server)
    assert run.events("cleanup_failed") == []
    assert "kill -CONT" in words(run, "f2-command")


def test_killed_with_its_keeper_restore_plays_it(place: Place, server: Server) -> None:
    longer = sets("timeline[1].for=50s", "duration=60s")
    run = place.run("with-keeper", *ALLOWED, *longer, file=EXTERNAL, **server.env)
    run.wait_for("fault_proved", fault="f2-command", proved=True)
    keeper = run.pid_of("chaosctl.safety.keeper")
    os.kill(keeper, signal.SIGSTOP)
    run.signal(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: run.process.poll() is not None, "the orchestrator is gone")
    refused = place.run("after", *ALLOWED, file=EXTERNAL, **server.env).ended()
    assert refused.code == 4, refused
    one_sentence(refused, f"run {run.run_id} acted on", "undo that with `chaosctl restore`")
    restored = place.chaosctl("restore", **server.env)
    assert restored.code == 0, restored
    untouched(server)
    run.nothing_is_left()
