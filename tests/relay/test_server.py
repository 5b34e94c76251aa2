"""Relays as processes: found, started, ended; and what is said when they do not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaosctl.errors import RelayError
from chaosctl.relay import server
from chaosctl.relay.contract import ProxySpec
from chaosctl.relay.server import find_toxiproxy, start_embedded, start_toxiproxy

from .conftest import wait_for


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def is_running(pid: int) -> bool:
    """A zombie does not run: who must reap it may be somebody else."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_toxiproxy_is_found_by_variable_as_path_or_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = program(tmp_path / "other-toxiproxy", "#!/bin/sh\n")
    monkeypatch.setenv("CHAOSCTL_TOXIPROXY", str(binary))
    assert find_toxiproxy() == binary
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CHAOSCTL_TOXIPROXY", "other-toxiproxy")
    assert find_toxiproxy() == binary
    monkeypatch.delenv("CHAOSCTL_TOXIPROXY")
    assert find_toxiproxy() is None
    program(tmp_path / "toxiproxy-server", "#!/bin/sh\n")
    assert find_toxiproxy() == tmp_path / "toxiproxy-server"


def test_a_named_toxiproxy_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_TOXIPROXY", "/nowhere/toxiproxy")
    with pytest.raises(RelayError, match="CHAOSCTL_TOXIPROXY names '/nowhere/toxiproxy'"):
        find_toxiproxy()


@pytest.mark.e2e
def test_a_server_that_ends_at_once_is_said_with_its_last_words(tmp_path: Path) -> None:
    binary = program(tmp_path / "broken", "#!/bin/sh\necho no license >&2\nexit 3\n")
    with pytest.raises(RelayError, match=r"ended with code 3; its log ends with: no license\."):
        start_toxiproxy(binary, log_path=tmp_path / "log", env=os.environ)


@pytest.mark.e2e
def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READY_WITHIN_S", 0.3)
    pid_file = tmp_path / "pid"
    binary = program(tmp_path / "mute", f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 60\n")
    with pytest.raises(RelayError, match="does not answer"):
        start_toxiproxy(binary, log_path=tmp_path / "log", env=os.environ)
    assert not is_running(int(pid_file.read_text()))


@pytest.mark.e2e
def test_a_program_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(RelayError, match="cannot be started"):
        start_toxiproxy(tmp_path / "absent", log_path=tmp_path / "log", env=os.environ)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["embedded", pytest.param("toxiproxy", marks=pytest.mark.needs("toxiproxy"))])
def test_a_relay_lives_in_its_own_session_until_closed(kind: str, tmp_path: Path) -> None:
    if kind == "embedded":
        relay = start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ)
    else:
        binary = find_toxiproxy()
        assert binary is not None
        relay = start_toxiproxy(binary, log_path=tmp_path / "log", env=os.environ)
    pid = relay.pid
    assert pid is not None
    assert (relay.info.kind, relay.info.started_by_us, relay.alive()) == (kind, True, True)
    assert os.getsid(pid) == pid
    relay.create(ProxySpec("p", "127.0.0.1:0", "127.0.0.1:9"))
    relay.close()
    assert not relay.alive()
    assert not is_running(pid)
    relay.close()


@pytest.mark.e2e
def test_a_relay_that_was_killed_is_noticed(tmp_path: Path) -> None:
    relay = start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ)
    assert relay.pid is not None
    os.kill(relay.pid, signal.SIGKILL)
    wait_for(lambda: not relay.alive())
    with pytest.raises(RelayError, match="is not there"):
        relay.proxy("p")
    relay.close()


@pytest.mark.e2e
def test_a_relay_that_ignores_term_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaosctl.relay.process.TERM_WITHIN_S", 0.2)
    relay = start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ)
    assert relay.pid is not None
    os.kill(relay.pid, signal.SIGSTOP)  # a stopped process does not act on TERM
    relay.close()
    assert not is_running(relay.pid)


@pytest.mark.e2e
def test_the_embedded_relay_ends_with_whoever_started_it(tmp_path: Path) -> None:
    starter = (
        "import os, pathlib, signal\n"
        "from chaosctl.relay.server import start_embedded\n"
        f"relay = start_embedded(seed=1, log_path=pathlib.Path({str(tmp_path / 'log')!r}), env=os.environ)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(relay.pid))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", starter], timeout=20, check=False)
    assert ended.returncode == -signal.SIGKILL
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(pid), within_s=2)


@pytest.mark.e2e
def test_files_of_the_user_are_not_imported_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ).close()


@pytest.mark.e2e
def test_an_api_address_in_use_is_said(tmp_path: Path) -> None:
    relay = start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ)
    command = [sys.executable, "-m", "chaosctl.relay.embedded", "--api", relay.info.api_url.removeprefix("http://")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    relay.close()
    assert second.returncode == 1
    assert "The API cannot listen on" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.e2e
def test_an_idle_relay_uses_no_processor_time(tmp_path: Path) -> None:
    relay = start_embedded(seed=1, log_path=tmp_path / "log", env=os.environ)
    assert relay.pid is not None
    relay.create(ProxySpec("p", "127.0.0.1:0", "127.0.0.1:9"))

    def used_ticks() -> int:
        fields = Path(f"/proc/{relay.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used_ticks()
    time.sleep(0.5)  # not a wait: the window that is measured
    assert used_ticks() - before <= 5
    relay.close()
