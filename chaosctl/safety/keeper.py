"""The keeper: a small detached process that owns what must not outlive the run.

It is the parent of the services and the subreaper of what they fork. Its standard input is a pipe from the
orchestrator: end of file means that the orchestrator is gone, however it died. Then it ends all processes of the run,
undoes what is left in the journal, and says so in the run's events.

    in   {"do": "hello", "id": 0}
         {"do": "spawn", "id": 1, "name": "world[0]", "argv": [], "env": {}, "cwd": "",
          "log_path": "", "log_limit_bytes": 0}
         {"do": "end", "id": 2, "forget": true}   (forget: take the run off the registry, if nothing of it is left)
    out  {"id": 1, "ok": true, "name": "world[0]", "pid": 1, "start_ticks": 1} | {"id": 1, "ok": false, "error": "..."}
         {"id": 2, "ok": true, "left": ["..."]}
         {"event": "exited", "name": "world[0]", "pid": 1, "code": 0, "signal": null, "at_ns": 1}

Run as `python -m chaosctl.safety.keeper RUN_ID BUNDLE ORIGIN_NS JOURNAL`. Standard library only, one thread, no wait
but the epoll.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaosctl.errors import RecordingError
from chaosctl.safety.bounded_log import BoundedLog
from chaosctl.safety.exits import signal_name
from chaosctl.safety.interruption import record_interruption
from chaosctl.safety.journal import UndoJournal, pending, play_pending, processes_path
from chaosctl.safety.label import end_found, members_of_run
from chaosctl.safety.processes import Process, descendants, look
from chaosctl.safety.runs import unregister
from chaosctl.safety.undo import SignalUndo

_STDIN, _STDOUT = 0, 1
_CHUNK_BYTES = 65_536
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2), since Linux 3.4
# All is over within 2 s of the orchestrator's death, as a rule: processes are ended in milliseconds, and a relay that
# does not answer is not waited for. Many faults on a busy machine take longer, and are healed all the same.
_UNDO_EACH_S = 0.5
_UNDO_ALL_S = 15.0


@dataclass(frozen=True)
class Run:
    """What the keeper is told when it is started."""

    run_id: str
    bundle: Path
    origin_ns: int
    journal: Path


class KeeperLoop:
    """Everything that the keeper holds, and the loop over all that can happen to it."""

    def __init__(self, run: Run, signals_fd: int) -> None:
        self._run = run
        self._signals_fd = signals_fd
        self._epoll = select.epoll()
        self._services: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._outputs: dict[int, tuple[int, BoundedLog]] = {}  # pipe: process and its log
        self._logs: dict[str, BoundedLog] = {}
        self._sessions: list[tuple[int, int]] = []
        self._record = UndoJournal(processes_path(run.journal), durable=False)
        self._unread = b""
        self._unsent = b""
        self._waits_to_send = False
        self._told_to_end: int | None = None
        self._forget = False
        self._orchestrator_gone = False

    def serve(self) -> None:
        """Do as told, until told to end or until the orchestrator is gone."""
        orchestrator_fd = _watch(os.getppid())
        for watched in (_STDIN, self._signals_fd, orchestrator_fd):
            if watched is not None:
                self._epoll.register(watched, select.EPOLLIN)
        os.set_blocking(_STDOUT, False)
        while self._told_to_end is None and not self._orchestrator_gone:
            for descriptor, _ in self._epoll.poll():
                if descriptor == _STDIN:
                    self._obey()
                elif descriptor == orchestrator_fd:
                    self._orchestrator_gone = True
                elif descriptor == self._signals_fd:
                    self._reap()
                elif descriptor == _STDOUT:
                    self._flush()
                else:
                    self._read_output(descriptor)
        if self._told_to_end is None:
            self._clean_up_after_orchestrator()
        else:
            self._end(self._told_to_end)

    def _obey(self) -> None:
        data = os.read(_STDIN, _CHUNK_BYTES)
        self._orchestrator_gone |= not data
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["do"] == "hello":
                self._send({"id": command["id"], "ok": True})
            elif command["do"] == "spawn":
                self._send({"id": command["id"], **self._spawn(command)})
            elif command["do"] == "end":
                self._told_to_end, self._forget = command["id"], command["forget"]

    def _spawn(self, command: Mapping[str, Any]) -> dict[str, Any]:
        output, output_of_service = os.pipe()
        try:
            log = self._log(command["log_path"], command["log_limit_bytes"])
            service = subprocess.Popen(
                command["argv"],
                env=command["env"],
                cwd=command["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=output_of_service,
                stderr=output_of_service,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(output)
            return {"ok": False, "error": _why(error)}
        finally:
            os.close(output_of_service)
        self._services[service.pid] = command["name"], service
        self._outputs[output] = service.pid, log
        os.set_blocking(output, False)
        self._epoll.register(output, select.EPOLLIN)
        process = look(service.pid)
        assert process is not None, "until it is reaped here it is at least a zombie"
        self._remember(command["name"], process)
        return {"ok": True, "name": command["name"], "pid": process.pid, "start_ticks": process.start_ticks}

    def _log(self, path: str, limit_bytes: int) -> BoundedLog:
        # One a path: what an earlier start left behind may still write to it.
        if path not in self._logs:
            self._logs[path] = BoundedLog(Path(path), limit_bytes)
        return self._logs[path]

    def _remember(self, name: str, process: Process) -> None:
        self._sessions.append((process.pid, process.start_ticks))
        # Only `restore` needs the record, after the keeper was killed too; it still has the label.
        with contextlib.suppress(RecordingError):
            self._record.write(name, [SignalUndo(process.pid, process.start_ticks, "SIGKILL")])

    def _read_output(self, descriptor: int) -> None:
        """Take what there is, at most a chunk: others wait their turn."""
        if descriptor not in self._outputs:
            return  # closed by what came before it in the same round
        _, log = self._outputs[descriptor]
        try:
            data = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            log.write(data)
            return
        self._epoll.unregister(descriptor)
        del self._outputs[descriptor]
        os.close(descriptor)

    def _drain(self, pid: int) -> None:
        """Take what the process had written before it ended, one pipe full at most: its children may go on."""
        for descriptor in [d for d, (owner, _) in self._outputs.items() if owner == pid]:
            self._read_output(descriptor)

    def _reap(self) -> None:
        """Ask for everything that has ended: a service is reported, what it had forked off is only taken away."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._signals_fd, _CHUNK_BYTES)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._services:
                self._report(pid, os.waitstatus_to_exitcode(status))

    def _report(self, pid: int, code: int) -> None:
        at_ns = time.monotonic_ns()
        name, service = self._services.pop(pid)
        service.returncode = code  # so that Popen does not ask for it again
        self._drain(pid)
        how = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": signal_name(-code)}
        self._send({"event": "exited", "name": name, "pid": pid, **how, "at_ns": at_ns})

    def _send(self, message: Mapping[str, Any]) -> None:
        self._unsent += json.dumps(message).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        """Send what the pipe takes now, the rest when it takes more: a stopped orchestrator must not stop us."""
        try:
            self._unsent = self._unsent[os.write(_STDOUT, self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = b""  # it is gone; the end of our input says so too
        if self._unsent and not self._waits_to_send:
            self._epoll.register(_STDOUT, select.EPOLLOUT)
        elif self._waits_to_send and not self._unsent:
            self._epoll.unregister(_STDOUT)
        self._waits_to_send = bool(self._unsent)

    def _end(self, request: int) -> None:
        """The orderly end: what services left behind goes; relays and swarm have been ended by who started them.

        The orchestrator may be killed while it waits for the answer, so nothing may be left for it to do.
        """
        _, left = end_found(lambda: descendants(os.getpid()), 0.0)
        if not left:
            processes_path(self._run.journal).unlink(missing_ok=True)
            if self._forget and not _is_pending(self._run.journal):
                unregister(self._run.run_id)
        os.set_blocking(_STDOUT, True)
        self._send({"id": request, "ok": True, "left": left})

    def _clean_up_after_orchestrator(self) -> None:
        # Processes first: with its own relay gone, no frozen one can hold up the undoing.
        _, left = end_found(self._all_of_run, 0.0)
        for pid in {pid for pid, _ in self._outputs.values()}:
            self._drain(pid)
        undone = _undo(self._run.journal)
        if left:  # what waits for a disk that was slow until now could not be ended before
            _, left = end_found(self._all_of_run, 0.0)
        left += undone
        record_interruption(self._run.bundle, time.monotonic_ns() - self._run.origin_ns, "keeper", left)
        if not left:  # otherwise `chaosctl restore` still has something to do
            processes_path(self._run.journal).unlink(missing_ok=True)
            unregister(self._run.run_id)

    def _all_of_run(self) -> tuple[Process, ...]:
        found = (*descendants(os.getpid()), *members_of_run(self._run.run_id, self._sessions))
        return tuple({process.pid: process for process in found}.values())


def _undo(journal: Path) -> tuple[str, ...]:
    try:
        played = play_pending(journal, _UNDO_EACH_S, _UNDO_ALL_S)
    except RecordingError as error:
        return (str(error),)
    return tuple(one.text for one in played if not one.done)


def _is_pending(journal: Path) -> bool:
    try:
        return bool(pending(journal))
    except RecordingError:
        return True


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _watch(pid: int) -> int | None:
    """Return a descriptor that is readable when the process has ended.

    The pipe alone would not do where something that was forked off the orchestrator holds its other end open. Kernels
    before 5.3 have no pidfd: there, the pipe has to do.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _catch_signals() -> int:
    """Return a descriptor that is readable when a child has ended.

    Signals of the terminal are caught and not ignored: what is ignored here would be ignored in the services too.
    """
    readable, writable = os.pipe()
    for descriptor in (readable, writable):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    return readable


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def main() -> None:
    """Keep the run that the arguments name."""
    run_id, bundle, origin_ns, journal = sys.argv[1:]
    signals_fd = _catch_signals()
    _adopt_orphans()
    KeeperLoop(Run(run_id, Path(bundle), int(origin_ns), Path(journal)), signals_fd).serve()


if __name__ == "__main__":
    main()
