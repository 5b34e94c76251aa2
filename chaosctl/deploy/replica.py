"""One replica under supervision: started, watched, held down, started again; a `Launcher` says as what it runs."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaosctl.deploy.contract import EventSink, Replica
from chaosctl.deploy.disks import ReplicaDisk
from chaosctl.deploy.launcher import Command, CommandOf, Launcher, Version
from chaosctl.deploy.readiness import POLL_S, Check
from chaosctl.deploy.restart import restart_due_ns
from chaosctl.errors import NotReadyError
from chaosctl.experiment.model import Service
from chaosctl.safety.container import Container
from chaosctl.safety.exits import Exit, ExitNotice
from chaosctl.safety.inside import Inside
from chaosctl.safety.keeper_client import Spawned
from chaosctl.safety.processes import running, send_signal
from chaosctl.safety.standing import Standing
from chaosctl.safety.undo import Undo

_LAST_LINES = 20
_SAID_LINES = 3
_SAID_CHARS = 200
_LAST_BYTES = 65_536
_NOTICE_WITHIN_S = 2.0
# A command without `ready` counts as ready when it did not end within this time: a wrong one ends at once.
_SETTLE_NS = 200_000_000
_ENDING = {"SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT"}


@dataclass(frozen=True)
class Start:
    """One start of the replica: its process, when it was asked for (monotonic ns), what tells that it is ready."""

    pid: int
    at_ns: int
    check: Check | None


class SupervisedReplica:
    """Implements `faults.contract.ProcessControl`. Threads may share it."""

    def __init__(
        self, replica: Replica, definition: Service, launcher: Launcher, sink: EventSink, origin_ns: int
    ) -> None:
        self.replica = replica
        self.service = replica.service
        self.index = replica.index
        self.definition = definition
        self.restart_due_ns: int | None = None
        self._launcher = launcher
        self._sink = sink
        self._origin_ns = origin_ns
        self._changed = threading.Condition()
        self._own: Command | None = None
        self._command: Command | None = None  # what it is started with from now on
        self._started_with: Command | None = None
        self._ready_pid: int | None = None
        self._log_from = 0  # where the output of the last start begins
        self._command_of: CommandOf | None = None
        self._new_check: Callable[[], Check | None] = lambda: None
        self._current: Spawned | None = None
        self._starts = 0
        self._sessions: list[Spawned] = []  # that may still have members
        self._exits: dict[int, Exit] = {}
        self._signals: dict[int, set[str]] = {}  # that were sent on purpose, by process
        self._restarts = 0
        self._was_ready = False
        self._held = False
        self._stopping = False

    @property
    def name(self) -> str:
        """`world[0]`."""
        return self.replica.name

    # -- the life of the replica, as the driver leads it

    def begin(self, command_of: CommandOf, new_check: Callable[[], Check | None]) -> Start:
        """Start it for the first time. `new_check` makes a readiness check for each start. Raises NotReadyError."""
        self._command_of = command_of
        self._own = self._command = command_of(Version())
        self._new_check = new_check
        with self._changed:
            return self._start()

    def wait_ready(self, start: Start, abort: threading.Event) -> None:
        """Wait until it is ready. Raises NotReadyError with the last lines of its log when it ends or takes too long,
        or when `abort` is set."""
        within_ns = self.definition.ready.within_ns if self.definition.ready else _SETTLE_NS
        due_ns = time.monotonic_ns() + within_ns
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            # A stranger on the same port may have answered for a process that has ended.
            if start.check is not None and start.check.holds(left_ns / 1e9) and self.pid() == start.pid:
                break
            if abort.is_set():
                raise NotReadyError(f"stopped before {self.name} was ready")
            if (end := self.exit_of(start.pid, POLL_S)) is not None:
                raise NotReadyError(self._ended_early(end))
        else:
            if start.check is not None:
                raise NotReadyError(self._never_ready(start.check, within_ns / 1e9))
        ready_ns = start.at_ns if start.check is None else time.monotonic_ns()
        self._was_ready = True
        self._ready_pid = start.pid
        self._sink("service_ready", at_ns=ready_ns - self._origin_ns, service=self.service, replica=self.index)

    def stop(self) -> None:
        """From now on it is not started again, whatever its policy; its end is expected."""
        with self._changed:
            self._stopping = True
            self.restart_due_ns = None

    def alive(self) -> tuple[int, ...]:
        """Return the ids of all processes that run in any session it has started."""
        return tuple(pid for one in self._sessions for pid in self._launcher.alive(one))

    def wait_noticed(self, within_s: float) -> None:
        """Wait until the end of every process it has started was noticed, or for `within_s`."""
        with self._changed:
            self._changed.wait_for(lambda: all(one.pid in self._exits for one in self._sessions), within_s)

    # -- Supervised

    def ended(self, notice: ExitNotice) -> None:
        """Record the end, clear away what it left, and decide whether it is started again."""
        # As a service manager does: a replica whose main process is dead is dead, its workers hold no port any more.
        # While everything is being stopped they have the same time for it as the main process had.
        if not self._stopping:
            self._clear_away(notice.pid)
        with self._changed:
            wanted_down = self._held or self._stopping
            sent = self._signals.get(notice.pid, set())
            expected = wanted_down or notice.exit.signal in sent or not sent.isdisjoint(_ENDING)
            if self._was_ready:
                self.restart_due_ns = restart_due_ns(self.definition.restart, notice.exit, self._restarts, wanted_down)
            self._exits[notice.pid] = notice.exit
            self._current = None
            self._changed.notify_all()
            unready = notice.pid != self._ready_pid and not expected
            self._sink(
                "service_exited",
                at_ns=notice.exit.at_ns - self._origin_ns,
                service=self.service,
                replica=self.index,
                pid=notice.pid,
                code=notice.exit.code,
                signal=notice.exit.signal,
                expected=expected,
                **({"said": self.said()} if unready else {}),
            )

    def restart_if_due(self) -> None:
        """Start it again, if its time has come."""
        with self._changed:
            if self.restart_due_ns is not None and self.restart_due_ns <= time.monotonic_ns():
                self._restarts += 1
                self._start_again()

    # -- ProcessControl

    def pid(self) -> int | None:
        """Return its process id now, None while it is down."""
        current = self._current
        return current.pid if current and self._launcher.runs(self.replica, current) else None

    def start_ticks(self) -> int | None:
        """Return the start time of that process (field 22 of /proc/PID/stat)."""
        current = self._current
        return current.start_ticks if current and self._launcher.runs(self.replica, current) else None

    def signal(self, name: str) -> None:
        """Send a signal to the main process, and to it only. Raises NotReadyError when there is none."""
        current = self._current
        if current is None:
            raise NotReadyError(f"{self.name} is down: there is no process to send {name} to")
        self._signals.setdefault(current.pid, set()).add(name)
        if not self._launcher.send(self.replica, current, name):
            raise NotReadyError(f"{self.name} has just ended: there is no process to send {name} to")

    def expect(self, name: str) -> None:
        """Take an end of the main process by this signal for what was asked for, whoever sends it."""
        if (current := self._current) is not None:
            self._signals.setdefault(current.pid, set()).add(name)

    def crash(self) -> None:
        """Send SIGKILL to the main process from this machine, past the engine that may watch over it. Raises
        NotReadyError when there is none, or where this user may not."""
        self._send_from_here("SIGKILL")

    def container(self) -> Container | None:
        """Return its container; None for a process, and before its first start."""
        return self._launcher.container(self.replica)

    def inside(self) -> Inside | None:
        """Return what finds all of its processes; None while it is down. Raises NotReadyError if they are elsewhere."""
        current, container = self._current, self.container()
        if container is not None:
            container.must_be_here()
        if current is None or running(current.pid, current.start_ticks) is None:
            return None
        return Inside(current.pid, current.start_ticks, boxed=container is not None)

    def disk(self) -> ReplicaDisk | None:
        """Return the disk of its own; None for one that has none."""
        return None if self.replica.disk is None else ReplicaDisk(self.replica.disk, self.pid)

    def freeze(self) -> None:
        """Stop it from running until it is thawed. Raises NotReadyError when it is down."""
        current = self._current
        if current is None:
            raise NotReadyError(f"{self.name} is down: there is no process to freeze")
        self._launcher.freeze(self.replica, current)

    def thaw(self) -> None:
        """Let it go on. Does nothing for one that is down or not frozen."""
        if (current := self._current) is not None:
            self._launcher.thaw(self.replica, current)

    def thawing(self) -> tuple[Undo, ...]:
        """Return what thaws it if it is frozen as it is now, as data; nothing while it is down."""
        current = self._current if self.pid() is not None else None
        return () if current is None else self._launcher.thawing(self.replica, current)

    def frozen(self) -> bool:
        """Say whether it is frozen now, as the kernel or the engine sees it."""
        current = self._current
        return current is not None and self._launcher.frozen(self.replica, current)

    def hold_down(self) -> None:
        """From now on, its restart policy does not act."""
        with self._changed:
            self._held = True
            self.restart_due_ns = None

    def release(self) -> None:
        """The restart policy acts again; a replica that is down is started now, whatever its policy."""
        with self._changed:
            self._held = False
            if self._stopping or self._starts == 0 or self.pid() is not None:
                return
            # Dead but not yet noticed: its workers are being cleared away.
            self._changed.wait_for(lambda: self._current is None, _NOTICE_WITHIN_S)
            if self._current is None and not self._stopping:
                self._start_again()

    def exit_of(self, pid: int, within_s: float) -> Exit | None:
        """Return how that process ended, as its parent saw it; None if it did not end in that time."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._exits, within_s)
            return self._exits.get(pid)

    def use(self, version: str, run: Sequence[str] | None, env: Mapping[str, str], image: str | None = None) -> None:
        """From now on it is started as this version, whatever starts it; what runs is left alone. `run` stands in
        place of its own command, `image` of a container's own, `env` is added. Raises ChaosctlError for a placeholder
        without a value, or an image that is not there."""
        if self._command_of is None:
            raise NotReadyError(f"{self.name} was never started, so no other version can take its place")
        command = self._command_of(Version(version, run, env, image))
        with self._changed:
            self._command = command

    def use_own(self) -> None:
        """From now on it is started as the target declares it; what runs is left alone."""
        with self._changed:
            self._command = self._own

    def standing(self) -> Standing:
        """Return which version is wanted, and which one was started last."""
        with self._changed:
            wanted, started, current = self._command, self._started_with, self._current
            return Standing(
                wanted=wanted.version if wanted else None,
                version=started.version if started else None,
                outdated=started is not wanted,
                argv=started.argv if started else (),
                added=started.added if started else {},
                ready=current is not None and current.pid == self._ready_pid,
                image=started.image_name if started else "",
            )

    def said(self) -> list[str]:
        """Return the last lines of its output since its last start, oldest first, each of a bearable length."""
        return [line[:_SAID_CHARS] for line in last_lines(self.replica.log_path, self._log_from)[-_SAID_LINES:]]

    # -- within

    def _send_from_here(self, name: str) -> None:
        """Send a signal to the main process from this machine, whoever watches over it. Raises NotReadyError."""
        current = self._current
        if current is None or running(current.pid, current.start_ticks) is None:
            raise NotReadyError(f"{self.name} is down: there is no process to send {name} to")
        self._signals.setdefault(current.pid, set()).add(name)
        try:
            sent = send_signal(current.pid, current.start_ticks, signal.Signals[name])
        except PermissionError as error:
            mend = "run chaosctl as root, or use kill with `for:`, which asks the engine"
            raise NotReadyError(f"{self.name} runs as another user: it gets no {name} from here; {mend}") from error
        if not sent:
            raise NotReadyError(f"{self.name} has just ended: there is no process to send {name} to")

    def _clear_away(self, pid: int) -> None:
        """End what is left of the session of an ended process."""
        with self._changed:  # waits for a start that has not yet noted its session
            ended = [one for one in self._sessions if one.pid == pid]
            self._sessions = [one for one in self._sessions if one.pid != pid]
        for one in ended:
            self._launcher.clear_away(one)

    def _start(self) -> Start:
        """Start a process; `_changed` is held, so that its end is not noticed before its start."""
        assert self._command is not None, "begin() comes first"
        check = self._new_check()
        with contextlib.suppress(OSError):  # nothing was printed yet
            self._log_from = self.replica.log_path.stat().st_size
        at_ns = time.monotonic_ns()
        try:
            spawned = self._launcher.start(self.replica, self._command)
        except NotReadyError as error:
            raise NotReadyError(
                f"{self.name} cannot be started: {error}; mend `run` of service {self.service}"
            ) from error
        return self._noted(spawned, check, at_ns)

    def _noted(self, spawned: Spawned, check: Check | None, at_ns: int) -> Start:
        """Take note of a start; `_changed` is held."""
        assert self._command is not None, "begin() comes first"
        self._current = spawned
        self._started_with = self._command
        self._sessions.append(spawned)
        self._starts += 1
        other = {} if self._command.version is None else {"version": self._command.version}
        self._sink(
            "service_started", service=self.service, replica=self.index, pid=spawned.pid, start=self._starts, **other
        )
        return Start(spawned.pid, at_ns, check)

    def _start_again(self) -> None:
        """Start it and have a thread of its own say when it is ready. `_changed` is held."""
        self.restart_due_ns = None
        try:
            start = self._start()
        except NotReadyError as error:
            self._sink("note", text=str(error))
            return
        self._watch_beside(start)

    def _watch_beside(self, start: Start) -> None:
        threading.Thread(target=self._watch, args=(start,), name=f"{self.name} readiness", daemon=True).start()

    def _watch(self, start: Start) -> None:
        try:
            self.wait_ready(start, threading.Event())
        except NotReadyError as error:
            if not (self._held or self._stopping):
                self._sink("note", text=str(error).partition("\n")[0])

    def _ended_early(self, end: Exit) -> str:
        mend = "run its command by hand to see why"
        lines = last_lines(self.replica.log_path)
        if any("address already in use" in line.lower() or "EADDRINUSE" in line for line in lines):
            ports = ", ".join(f"{name} {address}" for name, address in self.replica.ports.items()) or "no port"
            mend = f"a port is in use by another program: it was given {ports}; use these in `run`, or end the other"
        return _with_log(f"{self.name} ended {end} before it was ready; {mend}", self.replica.log_path, lines)

    def _never_ready(self, check: Check, within_s: float) -> str:
        text = f"{self.name} was not ready within {within_s:g} s; waited until {check.describe()}"
        lines = last_lines(self.replica.log_path)
        return _with_log(f"{text}; mend the service, or give it longer with `within`", self.replica.log_path, lines)


def last_lines(log_path: Path, begin: int = 0) -> list[str]:
    """Return the last 20 lines of a service's output, oldest first; what was renamed is part of it.

    `begin`: nothing from before this place in the file, unless it is shorter by now and so was renamed.
    """
    data = b""
    for path in (log_path.with_name(f"{log_path.name}.1"), log_path):
        with contextlib.suppress(OSError), path.open("rb") as log:
            length = path.stat().st_size
            if path == log_path and 0 < begin <= length:
                data = b""
            log.seek(max(0, length - _LAST_BYTES, begin if path == log_path and begin <= length else 0))
            data += log.read()
    return list(deque(data.decode(errors="replace").splitlines(), maxlen=_LAST_LINES))


def _with_log(text: str, log_path: Path, lines: list[str]) -> str:
    if not lines:
        return f"{text}\nit printed nothing ({log_path})"
    return "\n".join([text, f"the last lines of {log_path}:", *(f"  {line}" for line in lines)])
