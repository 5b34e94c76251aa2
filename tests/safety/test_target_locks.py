"""One run at a time for one target, whatever becomes of its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaosctl.errors import NotReadyError
from chaosctl.safety import runs
from chaosctl.safety.target_locks import TargetLocks

HOLD = (
    "import sys, time; from chaosctl.safety.target_locks import TargetLocks; "
    "locks = TargetLocks(sys.argv[1:], 'first-run'); print('held', flush=True); time.sleep(60)"
)


@pytest.mark.usefixtures("state_home")
def test_the_second_is_refused_for_any_address_of_the_first_and_told_its_name() -> None:
    first = TargetLocks(["10.0.0.2:7000", "10.0.0.1:7000"], "first-run")
    with pytest.raises(NotReadyError, match=r"run first-run is acting on 10\.0\.0\.2:7000"):
        TargetLocks(["10.0.0.2:7000", "10.0.0.0:1"], "second-run")
    # What was refused holds nothing.
    TargetLocks(["10.0.0.0:1", "10.0.0.3:7000"], "third-run").release()
    first.release()
    first.release()
    TargetLocks(["10.0.0.2:7000"], "second-run").release()


@pytest.mark.usefixtures("state_home")
def test_the_kernel_gives_it_back_when_its_owner_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, "h:1"], stdout=subprocess.PIPE, env=dict(os.environ)) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"held\n"
        with pytest.raises(NotReadyError, match="first-run"):
            TargetLocks(["h:1"], "second-run")
        owner.send_signal(signal.SIGKILL)
    TargetLocks(["h:1"], "second-run").release()


@pytest.mark.usefixtures("state_home")
def test_what_a_killed_run_left_has_to_be_undone_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TargetLocks(["h:1"], "first-run").release()
    runs.register("first-run", tmp_path, tmp_path / "undo.jsonl", os.getpid())
    TargetLocks(["h:1"], "first-run").release()  # its owner lives
    monkeypatch.setattr(runs.Run, "is_going", property(lambda run: False))
    with pytest.raises(NotReadyError, match=r"run first-run acted on h:1 and is not cleaned up.*`chaosctl restore`"):
        TargetLocks(["h:1"], "second-run")
    runs.unregister("first-run")
    TargetLocks(["h:1"], "second-run").release()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotReadyError, match="set XDG_STATE_HOME"):
        TargetLocks(["h:1"], "run")
