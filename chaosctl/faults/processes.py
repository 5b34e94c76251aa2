"""What the faults on processes share: signalling every replica of a place, and looking at what became of them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.faults.contract import Applied, Exit, Inside, NowNs, Place, ProcessControl, Proof
from chaosctl.safety.processes import thread_states

# A proof may take 2 s (the fault contract); what remains is for the last look.
LOOK_S = 1.8
POLL_S = 0.02
# After SIGKILL only the kernel is at work.
KILLED_WITHIN_S = 2.0
STOPPED = frozenset("Tt")
GONE = frozenset("ZX")

Fate = tuple[str, int, Exit | None]
"""A replica's name, the process it was, and how that process ended (None: it still runs)."""


def name_of(process: ProcessControl) -> str:
    """Return `world[0]`."""
    return f"{process.service}[{process.index}]"


def inside_of(process: ProcessControl) -> Inside:
    """Return what is inside a replica. Raises NotReadyError while it is down."""
    inside = process.inside()
    if inside is None:
        raise NotReadyError(f"{name_of(process)} is down: there is no process to act on")
    return inside


def remember(place: Place) -> list[dict[str, Any]]:
    """Return which processes a place has now: what `Applied.memo["processes"]` holds."""
    return [
        {"name": name_of(process), "pid": process.pid(), "start_ticks": process.start_ticks()}
        for process in place.processes
    ]


def targets(before: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what `remember` gave, for people."""
    return tuple(f"{one['name']} ({_process_text(one['pid'])})" for one in before)


def _process_text(pid: int | None) -> str:
    return "down" if pid is None else f"process {pid}"


def signal_all(place: Place, signal: str, now_ns: NowNs) -> Applied:
    """Send `signal` to every replica of the place, remembering who they were. Raises NotReadyError."""
    before = remember(place)
    called_ns = now_ns()
    for process in place.processes:
        process.signal(signal)
    return Applied(called_ns, now_ns(), targets(before), {"processes": before})


def hold_down_all(place: Place) -> None:
    """Keep the restart policies of the place from acting, if its fault lasts until a heal."""
    if place.held:
        for process in place.processes:
            process.hold_down()


def release_all(place: Place) -> None:
    """Let the restart policies act again and start what is down, if the fault held it down. Raises NotReadyError."""
    if place.held:
        for process in place.processes:
            process.release()


def kill_after(place: Place, before: Sequence[Mapping[str, Any]], grace_ns: int) -> None:
    """Wait for the end of each of these processes, and help along with SIGKILL what has not ended after `grace_ns`."""
    until_s = time.monotonic() + grace_ns / 1e9
    for process, one in zip(place.processes, before, strict=True):
        end_after(process, one["pid"], max(0.0, until_s - time.monotonic()))


def end_after(process: ProcessControl, pid: int, grace_s: float) -> None:
    """Wait for its end, and help along with SIGKILL after the grace."""
    if process.exit_of(pid, grace_s) is None:
        with contextlib.suppress(NotReadyError):  # it ended just now
            process.signal("SIGKILL")
        process.exit_of(pid, KILLED_WITHIN_S)


def fates(place: Place, applied: Applied, within_s: float | None = None) -> list[Fate]:
    """Wait, within the bound of a proof or another one, for every process that was signalled to end."""
    until_s = time.monotonic() + (LOOK_S if within_s is None else within_s)
    before = applied.memo["processes"]
    return [
        (one["name"], one["pid"], process.exit_of(one["pid"], max(0.0, until_s - time.monotonic())))
        for process, one in zip(place.processes, before, strict=True)
    ]


def judge_fates(seen: list[Fate], is_right: Callable[[Exit], bool]) -> Proof:
    """Return a proof: every process ended, and each in the right way."""
    proved = bool(seen) and all(exit is not None and is_right(exit) for _, _, exit in seen)
    return Proof(proved, "; ".join(_fate_text(*fate) for fate in seen) or "there is no process to look at")


def _fate_text(name: str, pid: int, exit: Exit | None) -> str:
    if exit is None:
        return f"{name}: process {pid} still ran {LOOK_S:g} s later"
    how = f"by {exit.signal}" if exit.signal else f"with exit code {exit.code}"
    return f"{name}: process {pid} ended {how}"


def is_up(process: ProcessControl) -> bool:
    """Say whether a replica runs: it has a process, and that is neither dead nor stopped."""
    pid = process.pid()
    if pid is None or process.frozen():
        return False
    container = process.container()
    if container is not None and container.is_remote:
        return True  # by its engine's word; the process with this id here is another one
    states = thread_states(pid)
    return bool(states) and not states & (STOPPED | GONE)


def wait_until(is_so: Callable[[], bool], within_s: float = LOOK_S) -> bool:
    """Poll until `is_so`, within the bound of a proof or another one. Return whether it came true."""
    until_s = time.monotonic() + within_s
    pause = threading.Event()
    while not (so := is_so()) and time.monotonic() < until_s:
        pause.wait(POLL_S)
    return so


def prove_all(look: Callable[[], Iterable[tuple[str, Proof]]]) -> Proof:
    """Look, as often as a proof may, until everything that `look` names shows it. Says what each shows."""
    seen: list[tuple[str, Proof]] = []

    def all_show_it() -> bool:
        seen[:] = look()
        return all(proof.proved for _, proof in seen)

    try:
        proved = wait_until(all_show_it) and bool(seen)
    except NotReadyError as error:
        return Proof(False, str(error))
    return Proof(proved, "; ".join(f"{name}: {proof.text}" for name, proof in seen) or "nothing is there")


def prove_up(place: Place) -> Proof:
    """Look whether every replica of the place runs (again)."""
    wait_until(lambda: all(map(is_up, place.processes)))
    texts = [
        f"{name_of(process)}: " + (f"process {process.pid()} runs" if is_up(process) else "does not run")
        for process in place.processes
    ]
    proved = bool(texts) and all(map(is_up, place.processes))
    return Proof(proved, "; ".join(texts) or "there is no process to look at")
