"""Which runs are going on this machine, and putting right what a killed one left.

One file a run: `$XDG_STATE_HOME/chaosctl/runs/<run id>.json`, below `~/.local/state` where that is unset. It is there
from before the first process of the run until everything is ended and undone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaosctl.errors import CleanupError, NotReadyError, UsageError
from chaosctl.safety.interruption import last_event, record_interruption
from chaosctl.safety.journal import pending, play_pending, processes_path
from chaosctl.safety.label import end_processes, end_run
from chaosctl.safety.processes import look, running
from chaosctl.safety.undo import SignalUndo

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_KEEPER_WITHIN_S = 3.0
_LOCK_WITHIN_S = 20.0
_TERM_WITHIN_S = 1.0
_MEND = "mend what does not answer or restart it, then run `chaosctl restore` again"
_ENDED = ("interrupted", "run_ended", "cleanup_failed")


@dataclass(frozen=True)
class Run:
    """A run as the registry knows it. Process ids mean something in the boot that they were noted in, only."""

    run_id: str
    bundle: Path
    journal: Path
    pid: int
    start_ticks: int
    keeper_pid: int
    keeper_start_ticks: int
    boot_id: str

    @property
    def this_boot(self) -> bool:
        """Whether the machine has been up since the run."""
        return self.boot_id == _boot_id()

    @property
    def is_going(self) -> bool:
        """Whether its orchestrator is alive."""
        return self.this_boot and running(self.pid, self.start_ticks) is not None

    @property
    def is_kept(self) -> bool:
        """Whether its orchestrator or its keeper is alive: then it is ended and healed without anybody's help."""
        return self.is_going or (self.this_boot and running(self.keeper_pid, self.keeper_start_ticks) is not None)


def register(run_id: str, bundle: Path, journal: Path, keeper_pid: int) -> Run:
    """Note that this process now orchestrates the run. Raises NotReadyError when that cannot be written."""
    run = Run(
        run_id=run_id,
        bundle=bundle.absolute(),
        journal=journal.absolute(),
        pid=os.getpid(),
        start_ticks=_start_ticks(os.getpid()),
        keeper_pid=keeper_pid,
        keeper_start_ticks=_start_ticks(keeper_pid),
        boot_id=_boot_id(),
    )
    entry = _entry(run_id)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        fresh = _unfinished(run_id)
        fresh.write_text(json.dumps(asdict(run), default=str) + "\n")
        fresh.replace(entry)
    except OSError as error:
        raise NotReadyError(
            f"the run cannot be noted in {entry.parent} ({error.strerror}); "
            "set XDG_STATE_HOME to a folder that you may write"
        ) from error
    return run


def unregister(run_id: str) -> None:
    """Take the run off the registry: nothing of it is left. Idempotent."""
    for path in (_entry(run_id), _unfinished(run_id)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def active() -> tuple[Run, ...]:
    """Return the runs whose orchestrator is alive, by run id."""
    return tuple(run for run in _registered() if run.is_going)


def abandoned() -> tuple[Run, ...]:
    """Return the runs whose orchestrator is gone and that were not cleaned up, by run id."""
    return tuple(run for run in _registered() if not run.is_going)


def restore(run: Run, on_wait: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    """End what is left of an abandoned run and undo its faults. Idempotent. Return what was done, in sentences.

    `on_wait` is told, in a sentence, when another restore is at it and has to be waited for. Raises UsageError for a
    run that is going, CleanupError naming what is left and how to remove it.
    """
    if run.is_going:
        raise UsageError(f"run {run.run_id} is still going; end it first, with Ctrl-C or `kill {run.pid}`")
    with _locked(run, on_wait) as still_there:
        if not still_there:
            return (f"run {run.run_id}: nothing is left to do",)
        did, left = _end_what_is_left(run) if run.this_boot else ([], [])
        played = play_pending(run.journal)
        if left:  # what waits for a disk that was slow until now could not be ended before
            more, left = _end_what_is_left(run)
            did += more
        did += [one.text for one in played if one.done]
        # Several faults of one container fail for one reason.
        left += dict.fromkeys(one.text for one in played if not one.done)
        _record(run, [f"{what}; {_MEND}" for what in left])
        if left:
            raise CleanupError(f"run {run.run_id} is not cleaned up: {'; '.join(left)}; {_MEND}")
        processes_path(run.journal).unlink(missing_ok=True)
        unregister(run.run_id)
    return tuple(did) or (f"run {run.run_id}: nothing was left, it is taken off the list",)


def _end_what_is_left(run: Run) -> tuple[list[str], list[str]]:
    """Return what was done and what could not be."""
    left = list(_end_keeper(run))
    sessions = [
        (action.pid, action.start_ticks)
        for entry in pending(processes_path(run.journal))
        for action in entry.actions
        if isinstance(action, SignalUndo)
    ]
    ended, not_ended = end_run(run.run_id, sessions, _TERM_WITHIN_S)
    did = [f"ended {ended} process{'es' if ended != 1 else ''} of run {run.run_id}"] if ended else []
    return did, [*left, *not_ended]


def _end_keeper(run: Run) -> tuple[str, ...]:
    """A keeper without orchestrator is at the same work: let it finish, and end it where it hangs."""
    end_s = time.monotonic() + _KEEPER_WITHIN_S
    while running(run.keeper_pid, run.keeper_start_ticks) is not None:
        if time.monotonic() > end_s:
            return end_processes([run.keeper_pid], 0.0)
        time.sleep(0.01)
    return ()


def _record(run: Run, left: list[str]) -> None:
    """Where nobody could say in the events how the run ended, say it now, at the time of its last sign of life."""
    at_ns, name = last_event(run.bundle)
    if name and name not in _ENDED:
        record_interruption(run.bundle, at_ns, "restore", left)


@contextlib.contextmanager
def _locked(run: Run, on_wait: Callable[[str], None]) -> Iterator[bool]:
    """Hold the run's entry, so that two restores do not meet. Yields False when it is gone: another one was faster.

    Raises CleanupError when another one holds it for too long.
    """
    try:
        descriptor = os.open(_entry(run.run_id), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        _wait_for_lock(run, descriptor, on_wait)
        yield os.fstat(descriptor).st_nlink > 0
    finally:
        os.close(descriptor)


def _wait_for_lock(run: Run, descriptor: int, on_wait: Callable[[str], None]) -> None:
    end_s = time.monotonic() + _LOCK_WITHIN_S
    waits = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end_s:
                raise CleanupError(
                    f"another `chaosctl restore` has been at run {run.run_id} for {_LOCK_WITHIN_S:g} s; "
                    "wait for it, or end it and try again"
                ) from error
            if not waits:
                on_wait(f"another `chaosctl restore` is at it; waiting for that, at most {_LOCK_WITHIN_S:g} s")
                waits = True
            time.sleep(0.02)
        else:
            return


def _registered() -> Iterator[Run]:
    for entry in sorted(_folder().glob("*.json")):
        # Entries are written whole or not at all: what cannot be read was unregistered meanwhile, or is not ours.
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            data: dict[str, Any] = json.loads(entry.read_text())
            yield Run(**{**data, "bundle": Path(data["bundle"]), "journal": Path(data["journal"])})


def state_folder() -> Path:
    """Return where chaosctl keeps what concerns all runs of this user."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "chaosctl"


def _folder() -> Path:
    return state_folder() / "runs"


def _entry(run_id: str) -> Path:
    return _folder() / f"{run_id.replace('/', '_')}.json"


def _unfinished(run_id: str) -> Path:
    """An entry that is being written; one that was killed at that leaves it to its keeper."""
    return _entry(run_id).with_suffix(".new")


def _start_ticks(pid: int) -> int:
    process = look(pid)
    return process.start_ticks if process is not None else 0


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
