"""What `deploy` and `rollback` share: each replica gives way to the version that is wanted now, and is looked at."""

from __future__ import annotations

import contextlib
import math
import shlex
import threading
import time
from pathlib import Path

from pydantic import Field

from chaosctl.errors import NotReadyError
from chaosctl.experiment.kinds import Params
from chaosctl.experiment.units import DurationNs
from chaosctl.faults import processes
from chaosctl.faults.contract import Place, ProcessControl, Proof, Standing

# A new process is looked at for so long until it is ready. What is not by then is no less the new version.
READY_LOOK_S = 2.0
SHOWN = 120


class Pace(Params):
    """How the replicas of a service give way to another version."""

    rolling: bool = Field(False, description="One replica after another, each ready before the next; else all at once")
    grace_ns: DurationNs = Field(
        1_000_000_000, alias="grace", le=60_000_000_000, description="From SIGTERM to SIGKILL for what does not end"
    )
    ready_within_ns: DurationNs = Field(
        10_000_000_000,
        alias="ready_within",
        le=600_000_000_000,
        description="rolling: the next replica waits at most so long for the one before it to be ready",
    )


def replace_all(place: Place, pace: Pace) -> None:
    """Have every replica that is outdated give way, beside the clock: it takes `grace` and more. Returns at once.

    What one of these is still at when the next one begins does no harm: both end what is outdated, and start what is
    wanted by then.
    """
    if not pace.rolling:
        for process in place.processes:
            _ask_to_end(process)
    threading.Thread(target=_replace, args=(place, pace), name=f"replacing {place.on}", daemon=True).start()


def _replace(place: Place, pace: Pace) -> None:
    for process in place.processes:
        if not process.standing().outdated:
            continue
        if pace.rolling:
            _ask_to_end(process)
        _give_way(process, pace.grace_ns / 1e9)
        if pace.rolling:
            processes.wait_until(lambda one=process: one.standing().ready, pace.ready_within_ns / 1e9)  # type: ignore[misc]


def _ask_to_end(process: ProcessControl) -> None:
    """Ask an outdated one to end. One that is down already (a version that crashes at its start) need not be asked."""
    if process.standing().outdated:
        process.hold_down()
        with contextlib.suppress(NotReadyError):
            process.signal("SIGTERM")


def _give_way(process: ProcessControl, grace_s: float) -> None:
    """Wait for its end, help it along after `grace_s`, and start what is wanted."""
    pid = process.pid()
    if pid is not None:
        processes.end_after(process, pid, grace_s)
    process.release()


def prove(place: Place, pace: Pace, version: str | None) -> Proof:
    """Look whether every replica was started as this version (None: the target's own), and whether it is ready then.

    One that was started and ended of itself has been replaced all the same: that is what a bad release does. Once
    another version is wanted there is nothing more to be seen.
    """
    each_s = pace.grace_ns / 1e9 + processes.KILLED_WITHIN_S
    turns = len(place.processes) if pace.rolling else 1
    more_s = pace.ready_within_ns / 1e9 if pace.rolling else 0.0
    sighting = _Sighting(place, version)
    processes.wait_until(sighting.is_over, turns * (each_s + more_s) + READY_LOOK_S)
    names = [processes.name_of(process) for process in place.processes]
    texts = [sighting.seen.get(name, f"{name}: did not give way to {named(version)}") for name in names]
    proved = bool(names) and sighting.seen.keys() >= set(names)
    return Proof(proved, "; ".join(texts) or "there is no process to look at")


class _Sighting:
    """What was seen of the replicas of a place while they were started as one version: a sentence by name."""

    def __init__(self, place: Place, version: str | None) -> None:
        self.seen: dict[str, str] = {}
        self._place = place
        self._version = version
        self._all_started_s = math.inf

    def is_over(self) -> bool:
        """Look once more. Return whether all are ready, or have had their time to be, or are wanted otherwise."""
        ready, wanted = True, True
        for process in self._place.processes:
            standing = process.standing()
            wanted &= standing.wanted == self._version
            ready &= standing.ready and not standing.outdated
            if standing.wanted == self._version and not standing.outdated:
                self.seen[processes.name_of(process)] = _text(process, standing)
        now_s = time.monotonic()
        if len(self.seen) == len(self._place.processes):
            self._all_started_s = min(self._all_started_s, now_s)
        return not wanted or ready or now_s > self._all_started_s + READY_LOOK_S


def _text(process: ProcessControl, standing: Standing) -> str:
    name, pid = processes.name_of(process), process.pid()
    version, shown = named(standing.version), _shown(standing)
    if pid is None:
        return f"{name}: {version} was started ({shown}) and ended before it was ready{_last_words(process)}"
    container = process.container()
    in_sight = container is None or not container.is_remote
    seen = "runs" if in_sight and _runs(pid, standing) else "was started as"
    ready = "is ready" if standing.ready else f"is not ready{_last_words(process)}"
    return f"{name}: process {pid} {seen} {version} ({shown}) and {ready}"


def _shown(standing: Standing) -> str:
    """Return its command in bearable length; of what its environment has more only the names, for there are secrets."""
    command = shlex.join(standing.argv)
    if standing.image:
        command = f"image {standing.image}{': ' if command else ''}{command}"
    shown = command if len(command) <= SHOWN else f"{command[: SHOWN // 2]} ... {command[-SHOWN // 2 :]}"
    return f"{shown}, with {', '.join(standing.added)} set" if standing.added else shown


def _last_words(process: ProcessControl) -> str:
    said = process.said()
    return f"; it said: {' | '.join(said)}" if said else "; it said nothing"


def named(version: str | None) -> str:
    """Return `version 2`, or `the target's own version`."""
    return "the target's own version" if version is None else f"version {version}"


def _runs(pid: int, standing: Standing) -> bool:
    """Say whether the kernel has this command and these variables for a process (proc(5)).

    A launcher may have put other words in place of the first. A program may also replace all of them, as a shell does
    with `exec`.
    """
    argv = list(standing.argv)
    words = _words(pid, "cmdline")
    same = words == argv or (len(argv) > 1 and words[1 - len(argv) :] == argv[1:])
    return same and {f"{name}={value}" for name, value in standing.added.items()} <= set(_words(pid, "environ"))


def _words(pid: int, what: str) -> list[str]:
    try:
        data = Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return []
    return [word.decode(errors="replace") for word in data.split(b"\0")[:-1]]
