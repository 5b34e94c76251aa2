"""What holds cleaning up: a process that waits for a slow disk takes no signal, relays that do not answer take time."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chaosctl.safety import runs, throttle
from chaosctl.safety.disk import Disk
from chaosctl.safety.disk_undo import DiskUndo, FillerUndo, ThrottleUndo
from chaosctl.safety.journal import UndoJournal, journal_path, pending
from chaosctl.safety.processes import thread_states
from chaosctl.safety.throttle import Throttle
from chaosctl.safety.undo import HttpUndo, play

from .conftest import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.needs("disks")]

NOBODY = 4_194_305  # beyond the highest process id
# It takes a minute for what is written at once here: longer than anybody waits for an end.
SLOW = Throttle(4096, None)
WRITES = "import os; f = open('big', 'wb'); f.write(bytes(256 * 1024)); f.flush(); os.fsync(f.fileno())"


@dataclass(frozen=True)
class Stuck:
    """A run's journal, and a process of the run that waits for its disk."""

    bundle: Path
    disk: Disk
    process: subprocess.Popen[bytes]

    def nothing_is_left(self) -> None:
        self.process.wait(60)
        assert not self.disk.is_mounted()
        assert Path(self.disk.folder, "big").exists()
        assert pending(journal_path(self.bundle)) == ()
        events = [json.loads(line) for line in (self.bundle / "events.jsonl").read_text().splitlines()]
        assert [one["event"] for one in events] == ["started", "interrupted"]


@pytest.fixture
def stuck(tmp_path: Path, state_home: Path, start: Callable[..., subprocess.Popen[bytes]]) -> Iterator[Stuck]:
    if (lacks := throttle.throttle_lacks()) is not None:
        pytest.skip(lacks)
    (tmp_path / "world-0").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "events.jsonl").write_text('{"at_ns": 1, "event": "started"}\n')
    disk = Disk(str(tmp_path / "world-0.disk"), str(tmp_path / "world-0"))
    disk.make(8 * 1024 * 1024, os.environ)
    undo = ThrottleUndo(throttle.groups_of(os.getpid()), disk.device())
    journal = UndoJournal(journal_path(tmp_path))
    journal.write("services", [DiskUndo(disk.image, disk.folder)])
    journal.write("f1-disk_slow", [undo])
    throttle.hold(undo.groups, undo.device, SLOW)
    process = start(sys.executable, "-c", WRITES, cwd=disk.folder)
    wait_until(lambda: thread_states(process.pid) == {"D"}, "it waits for the disk")
    yield Stuck(tmp_path, disk, process)
    play(undo)
    process.wait()
    play(DiskUndo(disk.image, disk.folder))


def keeper_cleans_up(run_id: str, bundle: Path) -> None:
    """Start a keeper whose orchestrator is gone at once, and wait for its end."""
    words = (run_id, str(bundle), str(time.monotonic_ns()), str(journal_path(bundle)))
    argv = [sys.executable, "-m", "chaosctl.safety.keeper", *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as keeper:
        assert keeper.stdin is not None
        keeper.stdin.close()
        assert keeper.wait(60) == 0


def test_the_keeper_ends_it(stuck: Stuck, run_id: str) -> None:
    keeper_cleans_up(run_id, stuck.bundle)
    stuck.nothing_is_left()


def test_what_takes_long_to_undo_does_not_keep_the_rest_from_it(run_id: str, tmp_path: Path, state_home: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "filler").touch()
    journal = UndoJournal(journal_path(tmp_path))
    journal.write("f0-disk_full", [FillerUndo(str(tmp_path / "filler"))])
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        url = f"http://127.0.0.1:{frozen.getsockname()[1]}/proxies/p/toxics/t"
        for number in range(1, 5):
            journal.write(f"f{number}-latency", [HttpUndo("DELETE", url)])
        keeper_cleans_up(run_id, tmp_path)
    assert not (tmp_path / "filler").exists()
    assert len(pending(journal_path(tmp_path))) == 4


def test_restore_ends_it(stuck: Stuck, run_id: str) -> None:
    run = runs.register(run_id, stuck.bundle, journal_path(stuck.bundle), NOBODY)
    did = runs.restore(replace(run, pid=NOBODY))
    assert any("is not slowed any more" in sentence for sentence in did)
    stuck.nothing_is_left()
