"""The safety lever: while it is pulled no run starts, and every run that was going when it was pulled ends.

One file, `$XDG_STATE_HOME/chaosctl/lever.json`: how often it was pulled, and the notice of whoever pulled it last. A
run remembers the number from its start and stops when that has grown: so it notices what was lifted again at once, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from chaosctl.errors import NotReadyError
from chaosctl.safety.runs import state_folder

RESUME = "`chaosctl resume`"


@dataclass(frozen=True)
class Halt:
    """A pulled lever: who pulled it, when (wall time, ISO 8601), why ("" where nobody said)."""

    by: str
    at: str
    reason: str

    def __str__(self) -> str:
        """Return `by ann@host at 2026-01-02T03:04:05+00:00: the shop is open`."""
        return f"by {self.by} at {self.at}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Lever:
    """What the file says. `pulls`: how often it was pulled, ever; `in_force`: it was not lifted since."""

    pulls: int = 0
    in_force: bool = False
    halt: Halt | None = None


def read() -> Lever:
    """Return how the lever stands. What cannot be understood counts as pulled: nobody may run on a guess."""
    path = _path()
    try:
        data = json.loads(path.read_text())
        halt = Halt(**data["halt"])
        return Lever(int(data["pulls"]), bool(data["in_force"]), halt)
    except FileNotFoundError:
        return Lever()
    except (OSError, ValueError, TypeError, KeyError) as error:
        why = getattr(error, "strerror", None) or "it is damaged"
        return Lever(0, True, Halt("somebody", "an unknown time", f"{path} cannot be read ({why})"))


def pull(reason: str) -> Halt:
    """Pull the lever and return whose pull is in force: the first one's, where it was pulled already.

    Durable when it returns. Raises NotReadyError when it cannot be written.
    """
    with _changing() as before:
        mine = Halt(_who(), datetime.now(UTC).isoformat(timespec="seconds"), reason)
        halt = before.halt if before.in_force and before.halt is not None else mine
        _write(Lever(before.pulls + 1, True, halt))
    return halt


def lift() -> Halt | None:
    """Let runs start again. Return what was in force, None if nothing was. Raises NotReadyError."""
    with _changing() as before:
        if not before.in_force:
            return None
        _write(replace(before, in_force=False))
    return before.halt


def refuse_if_pulled() -> None:
    """Raise NotReadyError, naming who, when, why and the mend, while the lever is pulled."""
    lever = read()
    if lever.in_force:
        raise NotReadyError(f"no run starts: halted {lever.halt}; {RESUME} lets runs start again")


def pulled_since(before: Lever) -> Halt | None:
    """Return the notice of a pull that is in force or came after `before`, None if there is none."""
    now = read()
    return now.halt if now.in_force or now.pulls > before.pulls else None


def _path() -> Path:
    return state_folder() / "lever.json"


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        name = f"user {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


@contextlib.contextmanager
def _changing() -> Iterator[Lever]:
    """Hold the lock over reading and writing; it falls with the process that holds it."""
    lock = _path().with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _not_written(error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield read()
    finally:
        os.close(descriptor)


def _write(lever: Lever) -> None:
    path = _path()
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w") as file:
            file.write(json.dumps(asdict(lever)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise _not_written(error) from error


def _not_written(error: OSError) -> NotReadyError:
    return NotReadyError(
        f"the lever {_path()} cannot be changed ({error.strerror}); mend the rights of its folder, "
        "and until then end runs with Ctrl-C"
    )
