"""What is inside a replica is found by its session or its container, and told apart by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import cgroups
from chaosctl.safety.inside import Inside
from chaosctl.safety.processes import look

# A main process with a child in its session and one that made a session of its own.
FAMILY = """
import subprocess, sys
child = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "-".join(["worker", "of", "mail"])]
own = subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
away = subprocess.Popen(["sleep", "60"], start_new_session=True)
own.stdout.readline()
print(own.pid, away.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family() -> Iterator[tuple[Inside, int, int]]:
    main = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert main.stdout is not None
    own, away = map(int, main.stdout.readline().split())
    process = look(main.pid)
    assert process is not None
    yield Inside(main.pid, process.start_ticks, boxed=False), own, away
    for pid in (own, away, main.pid):
        os.kill(pid, signal.SIGKILL)
    main.communicate()


@pytest.mark.e2e
def test_all_that_a_process_started_is_inside_oldest_first(family: tuple[Inside, int, int]) -> None:
    inside, own, away = family
    assert [one.pid for one in inside.members()] == [inside.pid, own, away]
    assert [one.pid for one in inside.named("sleep")] == [away]
    assert [one.pid for one in inside.named("worker-of-mail")] == [own]
    assert inside.named("nginx") == ()
    assert Inside(inside.pid, inside.start_ticks + 1, boxed=False).members() == ()


@pytest.mark.e2e
def test_a_name_comes_before_a_part_of_a_command_line(family: tuple[Inside, int, int]) -> None:
    inside, own, _ = family
    name = Path(sys.executable).name
    assert [one.pid for one in inside.named(name)] == [inside.pid, own]
    # The main process has it in its command line, too.
    assert len(inside.named("import")) == 2


@pytest.mark.e2e
def test_what_has_ended_gets_no_signal(family: tuple[Inside, int, int]) -> None:
    inside, _, away = family
    (sleep,) = inside.named("sleep")
    stranger = type(sleep)(away, "sleep", "S", 1, 1, sleep.start_ticks + 1)
    with pytest.raises(NotReadyError, match="has just ended"):
        inside.signal(stranger, "SIGKILL")


def test_of_what_is_in_no_group_of_its_own_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    me = look(os.getpid())
    assert me is not None
    monkeypatch.setattr(cgroups, "folder_of", lambda pid, controller: cgroups.ROOT / controller)
    with pytest.raises(NotReadyError, match="in no control group of its own"):
        Inside(me.pid, me.start_ticks, boxed=True).members()
