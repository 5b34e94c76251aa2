"""Real services, small ones: up in order, back by policy, down without a trace."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosctl.deploy.process import ProcessDriver
from chaosctl.errors import ChaosctlError, NotReadyError
from chaosctl.experiment.model import Target
from chaosctl.faults.contract import ProcessControl
from chaosctl.safety.keeper_client import Keeper
from chaosctl.safety.label import processes_of
from chaosctl.safety.processes import look, running
from tests.fixtures.drivers import setup

from .conftest import BOUND_S, Sink, wait_until

pytestmark = pytest.mark.e2e

Deploy = Callable[..., ProcessDriver]

# Accepts and answers one byte; as short as a real server can be.
SERVER = """
import signal, socket, sys, time
def end(signum, frame):
    print("ended at", time.monotonic_ns(), flush=True)
    signal.signal(signum, signal.SIG_DFL)
    signal.raise_signal(signum)
signal.signal(signal.SIGTERM, end)
host, port = sys.argv[1].rsplit(":", 1)
listener = socket.create_server((host, int(port)))
print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    connection.close()
"""


def server(**more: Any) -> dict[str, Any]:
    return {
        "run": ["python3", "-S", "-c", SERVER, "${self.main}"],
        "ports": ["main"],
        "ready": {"tcp": "main", "within": "10s"},
        **more,
    }


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"run": ["sh", "-c", script], **more}


def test_services_start_in_order_and_stop_in_reverse(deploy: Deploy, sink: Sink, keeper: Keeper) -> None:
    driver = deploy({"gateway": server(replicas=2), "ledger": server()}, ("ledger", "gateway"))
    replicas = driver.allocate()
    assert driver.allocate() == replicas, "ports are chosen once"
    driver.up({})
    assert [(e["event"], e["service"], e["replica"]) for e in sink.events] == [
        ("service_started", "ledger", 0),
        ("service_ready", "ledger", 0),
        ("service_started", "gateway", 0),
        ("service_started", "gateway", 1),
        ("service_ready", "gateway", 0),
        ("service_ready", "gateway", 1),
    ]
    for replica in replicas:
        host, port = replica.ports["main"].split(":")
        socket.create_connection((host, int(port)), timeout=BOUND_S).close()
        wait_until(lambda log=replica.log_path: log.read_text() == "listening\n", "its words in the log")
    assert driver.down() == ()
    assert processes_of(keeper.run_id) == ()
    exits = sink.of("service_exited")
    ended_at = {replica.name: int(replica.log_path.read_text().split()[-1]) for replica in replicas}
    assert max(ended_at, key=lambda name: ended_at[name]) == "ledger[0]"
    assert len(exits) == 3
    assert all(e["expected"] and e["signal"] == "SIGTERM" for e in exits)


def test_down_is_idempotent_and_harmless_before_up(deploy: Deploy) -> None:
    driver = deploy({"one": server()})
    assert driver.down() == ()
    driver.allocate()
    assert driver.down() == ()
    driver.up({})
    pid = driver.process("one", 0).pid()
    assert pid is not None
    assert driver.down() == ()
    assert driver.down() == ()
    assert look(pid) is None


def test_down_kills_what_ignores_term_and_what_left_its_session(deploy: Deploy, keeper: Keeper, sink: Sink) -> None:
    script = "trap '' TERM; setsid -f sleep 600; sleep 600 & echo up; while :; do sleep 600; done"
    driver = deploy({"stubborn": shell(script, ready={"log": "^up$"}, stop_within="100ms")})
    driver.up({})
    wait_until(lambda: len(processes_of(keeper.run_id)) >= 4, "the shell and its three children")
    assert driver.down() == ()
    assert processes_of(keeper.run_id) == ()
    assert sink.of("service_exited")[0]["signal"] == "SIGKILL"


def test_down_lets_children_of_a_shell_end_in_their_own_time(deploy: Deploy, tmp_path: Path) -> None:
    # The shell dies of SIGTERM at once, its child says good-bye first.
    goodbye = tmp_path / "goodbye"
    child = f"trap 'sleep 0.2; echo bye > {goodbye}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    driver = deploy({"wrapped": {"run": ["sh", "-c", 'sh -c "$1" & wait', "sh", child], "ready": {"log": "^up$"}}})
    driver.up({})
    assert driver.down() == ()
    assert goodbye.read_text() == "bye\n"


def test_placeholders_and_environment(deploy: Deploy, tmp_path: Path) -> None:
    words = ["${self.main}", "${link.one-two}", "${state}", "${index}", "${service.one.main}", "$$x"]
    words.append("${link.one-two.port}")
    show = {
        "run": ["sh", "-c", 'printf "%s\\n" "$@" "$COLOUR $CHAOSCTL_RUN $PWD"; exec sleep 600', "sh", *words],
        "env": {"COLOUR": "red-${index}"},
        "ports": ["main"],
        "folder": "sub",
        "ready": {"log": "red"},
    }
    (tmp_path / "sub").mkdir()
    driver = deploy({"one": server(replicas=2), "two": show}, ("one", "two"))
    replicas = {replica.name: replica for replica in driver.allocate()}
    driver.up({"one-two": "127.0.0.1:4711"})
    two = replicas["two[0]"]
    both = ",".join(replicas[f"one[{index}]"].ports["main"] for index in (0, 1))
    assert two.log_path.read_text().splitlines() == [
        two.ports["main"],
        "127.0.0.1:4711",
        str(two.state_dir),
        "0",
        both,
        "$x",
        "4711",
        f"red-0 {driver._keeper.run_id} {tmp_path / 'sub'}",
    ]
    assert two.state_dir.is_dir()
    assert driver.values("one", 1)["index"] == "1"
    with pytest.raises(NotReadyError, match=r"there is no two\[7\]; there are: one\[0\], one\[1\], two\[0\]"):
        driver.values("two", 7)


def test_the_control_is_what_faults_expect(deploy: Deploy) -> None:
    driver = deploy({"one": server()})
    driver.allocate()
    control: ProcessControl = driver.process("one", 0)
    assert (control.service, control.index, control.pid(), control.start_ticks()) == ("one", 0, None, None)
    with pytest.raises(NotReadyError, match=r"one\[0\] is down"):
        control.signal("SIGKILL")


def test_a_killed_replica_without_policy_stays_dead_until_released(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server()})
    driver.up({})
    control = driver.process("one", 0)
    pid, before_ns = control.pid(), time.monotonic_ns()
    assert pid is not None
    control.signal("SIGKILL")
    end = control.exit_of(pid, BOUND_S)
    assert end is not None
    assert (end.code, end.signal) == (None, "SIGKILL")
    assert before_ns < end.at_ns < time.monotonic_ns()
    event = sink.wait_for("service_exited")[0]
    assert event["expected"] and event["signal"] == "SIGKILL" and event["pid"] == pid
    assert event["at_ns"] == end.at_ns - driver._keeper.origin_ns
    assert control.pid() is None
    control.release()
    assert control.pid() not in (None, pid)
    sink.wait_for("service_ready", 2)
    assert [e["start"] for e in sink.of("service_started")] == [1, 2]
    control.release()
    assert len(sink.of("service_started")) == 2, "what runs is not started again"


def test_release_right_after_a_kill_starts_it(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server()})
    driver.up({})
    control = driver.process("one", 0)
    for count in range(2, 7):
        pid = control.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: control.pid() != pid, "its death")
        control.release()
        assert len(sink.of("service_started")) == count


def test_the_restart_policy_brings_it_back_and_gives_up(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server(restart={"after": "50ms", "at_most": 2})})
    driver.up({})
    control = driver.process("one", 0)
    for count in (2, 3):
        pid = control.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        sink.wait_for("service_ready", count)
        started, exited = sink.of("service_started")[-1], sink.of("service_exited")[-1]
        assert not exited["expected"], "nobody of ours sent that"
        assert started["start"] == count
    end = control.pid()
    assert end is not None
    os.kill(end, signal.SIGKILL)
    sink.wait_for("service_exited", 3)
    assert control.restart_due_ns is None
    assert len(sink.of("service_started")) == 3


def test_the_declared_delay_passes_before_a_restart(deploy: Deploy, sink: Sink, keeper: Keeper) -> None:
    driver = deploy({"one": server(restart={"after": "300ms"})})
    driver.up({})
    control = driver.process("one", 0)
    pid = control.pid()
    assert pid is not None
    control.signal("SIGKILL")
    end = control.exit_of(pid, BOUND_S)
    wait_until(lambda: control.pid() is not None, "the restart")
    assert end is not None
    assert time.monotonic_ns() - end.at_ns >= 300_000_000


def test_held_down_it_stays_down_and_released_it_comes_at_once(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server(restart={"after": "20ms"})})
    driver.up({})
    control = driver.process("one", 0)
    pid = control.pid()
    assert pid is not None
    control.hold_down()
    control.signal("SIGKILL")
    sink.wait_for("service_exited")
    assert control.restart_due_ns is None
    assert control.pid() is None
    control.release()
    assert len(sink.wait_for("service_ready", 2)) == 2


def test_holding_down_calls_off_a_restart_that_is_due(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server(restart={"after": "60s"})})
    driver.up({})
    control = driver.process("one", 0)
    control.signal("SIGKILL")
    sink.wait_for("service_exited")
    assert control.restart_due_ns is not None
    control.hold_down()
    assert control.restart_due_ns is None


def test_a_dead_main_process_leaves_no_worker_on_its_port(deploy: Deploy, sink: Sink, keeper: Keeper) -> None:
    worker = SERVER.replace("while True", "import os\nif os.fork():\n    os.wait()\nwhile True")
    definition = server(run=["python3", "-S", "-c", worker, "${self.main}"], restart={"after": "0"})
    driver = deploy({"one": definition})
    driver.up({})
    wait_until(lambda: len(processes_of(keeper.run_id)) == 2, "the worker")
    driver.process("one", 0).signal("SIGKILL")
    sink.wait_for("service_ready", 2)


def test_a_paused_replica_lives_and_is_ended(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": server()})
    driver.up({})
    control = driver.process("one", 0)
    pid = control.pid()
    assert pid is not None
    control.signal("SIGSTOP")
    wait_until(lambda: (found := look(pid)) is not None and found.state == "T", "the pause")
    assert control.pid() == pid
    assert driver.down() == ()
    assert sink.of("service_exited")[0]["signal"] == "SIGTERM", "it was woken to end in order"


def test_a_crash_after_a_harmless_signal_is_not_expected(deploy: Deploy, sink: Sink) -> None:
    driver = deploy({"one": shell("trap '' USR1; echo up; while :; do sleep 0.05; done", ready={"log": "up"})})
    driver.up({})
    control = driver.process("one", 0)
    control.signal("SIGUSR1")
    pid = control.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSEGV)
    assert not sink.wait_for("service_exited")[0]["expected"]


def failure(driver: ProcessDriver) -> str:
    with pytest.raises(NotReadyError) as caught:
        driver.up({})
    return str(caught.value)


def test_what_exits_at_once_shows_its_last_twenty_lines(deploy: Deploy) -> None:
    text = failure(deploy({"one": shell("seq 1 30; exit 3", ready={"log": "never"})}))
    assert text.startswith("one[0] ended with code 3 before it was ready; run its command by hand")
    assert [int(line) for line in text.splitlines()[2:]] == list(range(11, 31))


def test_what_exits_at_once_without_a_ready_clause(deploy: Deploy, sink: Sink) -> None:
    assert "one[0] ended with code 4 before it was ready" in failure(deploy({"one": shell("exit 4")}))
    assert sink.of("service_ready") == []


def test_without_a_ready_clause_it_counts_from_its_start(deploy: Deploy, sink: Sink) -> None:
    deploy({"one": shell("exec sleep 600")}).up({})
    assert len(sink.of("service_ready")) == 1


def test_what_never_gets_ready(deploy: Deploy) -> None:
    services = {"one": shell("echo thinking; exec sleep 600", ports=["main"], ready={"tcp": "main", "within": "300ms"})}
    text = failure(deploy(services))
    assert "one[0] was not ready within 0.3 s; waited until port main (127.0.0.1:" in text
    assert text.endswith("  thinking")


def test_a_command_that_does_not_exist(deploy: Deploy) -> None:
    text = failure(deploy({"one": {"run": ["no-such-program-here"]}}))
    assert text == (
        "one[0] cannot be started: no-such-program-here: No such file or directory; mend `run` of service one"
    )


def test_a_folder_that_does_not_exist(deploy: Deploy) -> None:
    assert "does not exist; mend `folder` of service one" in failure(deploy({"one": shell("true", folder="nowhere")}))


def test_a_port_in_use(deploy: Deploy) -> None:
    driver = deploy({"one": server()})
    (replica,) = driver.allocate()
    host, port = replica.ports["main"].split(":")
    with socket.create_server((host, int(port))):
        text = failure(driver)
    assert f"its port main ({host}:{port}) is in use by another program" in text


def test_a_port_of_its_own_choice_in_use(deploy: Deploy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = failure(deploy({"one": server(run=["python3", "-S", "-c", SERVER, address])}))
    assert "a port is in use by another program: it was given main 127.0.0.1:" in text
    assert "Address already in use" in text


def test_a_placeholder_that_means_nothing(deploy: Deploy) -> None:
    with pytest.raises(ChaosctlError, match=r"\$\{self.mian\}.*self\.main"):
        deploy({"one": server(run=["true", "${self.mian}"])}).up({})


def test_abort_ends_the_waiting(deploy: Deploy, abort: threading.Event, sink: Sink) -> None:
    driver = deploy({"one": shell("exec sleep 600", ready={"log": "never", "within": "60s"})})
    threading.Timer(0.1, abort.set).start()
    begin_s = time.monotonic()
    assert failure(driver) == "stopped before one[0] was ready"
    assert time.monotonic() - begin_s < BOUND_S


def test_a_restart_that_does_not_get_ready_is_noted(deploy: Deploy, sink: Sink, tmp_path: Path) -> None:
    script = f"[ -e {tmp_path}/second ] || {{ touch {tmp_path}/second; echo up; }}; exec sleep 600"
    driver = deploy({"one": shell(script, ready={"log": "^up$", "within": "300ms"}, restart={"after": "0"})})
    driver.up({})
    driver.process("one", 0).signal("SIGKILL")
    note = sink.wait_for("note")[0]
    assert note["text"].startswith(
        "one[0] was not ready within 0.3 s; waited until a line of its output matches '^up$'"
    )


def test_the_keeper_may_die_and_down_still_ends_all(tmp_path: Path, sink: Sink, abort: threading.Event) -> None:
    lost: list[str] = []
    keeper = Keeper.start(f"test-lost-{os.getpid()}", tmp_path / "b", time.monotonic_ns(), on_lost=lost.append)
    target = Target.model_validate({"services": {"one": server()}})
    driver = ProcessDriver(setup(target, tmp_path, tmp_path / "b", keeper.run_id, sink, abort), keeper)
    driver.up({})
    control = driver.process("one", 0)
    pid, ticks = control.pid(), control.start_ticks()
    assert pid is not None and ticks is not None
    os.kill(keeper.pid, signal.SIGKILL)
    wait_until(lambda: bool(lost), "the news")
    assert "SIGKILL" in lost[0]
    assert running(pid, ticks) is not None
    assert driver.down() == ()
    assert running(pid, ticks) is None
    assert keeper.close() == ()
