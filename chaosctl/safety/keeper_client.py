"""The keeper as the orchestrator sees it: start it first, have it start everything else, end it last."""

from __future__ import annotations

import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chaosctl
from chaosctl.errors import NotReadyError, RecordingError
from chaosctl.safety.child import Child, Message
from chaosctl.safety.exits import Exit, ExitNotice
from chaosctl.safety.journal import journal_path
from chaosctl.safety.label import LABEL, end_found, labelled, members_of_run
from chaosctl.safety.processes import Process, descendants

OnExit = Callable[[ExitNotice], None]
OnLost = Callable[[str], None]
_ANSWER_WITHIN_S = 10.0
_GONE: Message = {"ok": False, "error": "the keeper has ended"}


@dataclass(frozen=True)
class Spawned:
    """A process that the keeper started."""

    pid: int
    start_ticks: int


class Keeper:
    """A running keeper. Threads may share it. `Keeper.start` makes one.

    Exit notices come from a reader thread: what is called with them must be quick and must not spawn.
    """

    def __init__(self, run_id: str, bundle: Path, origin_ns: int, on_lost: OnLost | None) -> None:
        self.run_id = run_id
        self.bundle = bundle
        self.origin_ns = origin_ns
        self._on_lost = on_lost
        self._listeners: list[OnExit] = []
        self._answers: dict[int, queue.SimpleQueue[Message]] = {}
        self._sessions: dict[int, int] = {}  # of everything ever started: process id, start ticks
        self._running: dict[int, str] = {}
        self._lock = threading.Lock()
        self._gone = False
        self._closing = False
        self._numbers = itertools.count(1)
        logs = self.bundle / "logs"
        try:
            logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"{logs} cannot be made ({error.strerror}); give another folder with --out") from error
        arguments = [self.run_id, str(self.bundle), str(self.origin_ns), str(journal_path(self.bundle))]
        # -S and -P: no site-packages and nothing of the user's folder, only the standard library and this package.
        argv = [sys.executable, "-S", "-P", "-m", "chaosctl.safety.keeper", *arguments]
        env = {**os.environ, "PYTHONPATH": str(Path(chaosctl.__file__).parents[1])}
        env.pop(LABEL, None)  # it ends what carries the label
        self._log_path = logs / "keeper.log"
        self._child = Child(argv, env, self._log_path, self._take, self._on_end)

    @classmethod
    def start(
        cls,
        run_id: str,
        bundle: Path,
        origin_ns: int,
        on_exit: OnExit | None = None,
        on_lost: OnLost | None = None,
    ) -> Keeper:
        """Start the keeper of a run and wait until it answers. `origin_ns` is the run's start on the monotonic clock.

        `on_lost` is called from a thread when the keeper itself ends without having been told to: then nobody
        watches over the run any more, and `end_everything` is called for. Raises NotReadyError, RecordingError.
        """
        keeper = cls(run_id, bundle.absolute(), origin_ns, on_lost)
        if on_exit is not None:
            keeper.subscribe(on_exit)
        try:
            keeper._ask({"do": "hello"}, keeper._child.start)
        except NotReadyError as error:
            keeper._child.stop(within_s=0.0)
            raise NotReadyError(f"the keeper cannot be started: {error}; see {keeper._log_path}") from error
        return keeper

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child.pid is not None
        return self._child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.alive()

    def subscribe(self, on_exit: OnExit) -> None:
        """Have `on_exit` called for every process of this keeper that ends."""
        self._listeners.append(on_exit)

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log_path: Path,
        log_limit_bytes: int,
    ) -> Spawned:
        """Start a process in a session of its own, labelled, its output appended to `log_path`.

        Raises NotReadyError, with what the system said, when it cannot be started or the keeper is gone.
        """
        answer = self._ask(
            {
                "do": "spawn",
                "name": name,
                "argv": list(argv),
                "env": labelled(env, self.run_id),
                "cwd": str(cwd),
                "log_path": str(log_path),
                "log_limit_bytes": log_limit_bytes,
            }
        )
        return Spawned(answer["pid"], answer["start_ticks"])

    def held(self, names: Collection[str]) -> tuple[Process, ...]:
        """Return all that it holds for these names: what was started under them, and what ended processes of anybody
        left behind for it to adopt. The families of what runs under other names are left out."""
        if self._gone:
            return ()
        with self._lock:
            others = {pid for pid, name in self._running.items() if name not in names}
        found = descendants(self.pid)
        theirs = {process.pid for process in found if process.pid in others or process.session in others}
        while more := {process.pid for process in found if process.parent in theirs} - theirs:
            theirs |= more
        return tuple(process for process in found if process.pid not in theirs)

    def end_everything(self, term_within_s: float = 0.0) -> tuple[str, ...]:
        """End every process of the run but this one and the keeper, found by label and by record; works without the
        keeper. Return a sentence for each that could not be ended."""
        return end_found(lambda: members_of_run(self.run_id, self._sessions.copy().items()), term_within_s)[1]

    def close(self, forget: bool = False) -> tuple[str, ...]:
        """End what it still holds, then the keeper itself. Idempotent. Return what could not be ended.

        `forget`: if nothing is left, in the journal neither, it also takes the run off the registry.
        """
        self._closing = True
        left: tuple[str, ...] = ()
        if not self._gone:
            try:
                left = tuple(self._ask({"do": "end", "forget": forget})["left"])
            except NotReadyError:
                left = self.end_everything()
        self._gone = True
        self._child.stop(within_s=1.0)
        return left

    def _ask(self, message: Message, send: Callable[[Message], Any] | None = None) -> Message:
        number = next(self._numbers)
        answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        with self._lock:
            self._answers[number] = answers
        try:
            if (send or self._child.send)({**message, "id": number}) is False or self._gone:
                answers.put(_GONE)
            answer = answers.get(timeout=_ANSWER_WITHIN_S)
        except queue.Empty:
            answer = {"ok": False, "error": f"the keeper did not answer within {_ANSWER_WITHIN_S:g} s"}
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if not answer["ok"]:
            raise NotReadyError(answer["error"])
        return answer

    def _take(self, message: Message) -> None:
        """Called by the reader thread, in the order of the keeper's words: the answer to a spawn before its exit."""
        if message.get("event") == "exited":
            self._notify(message)
            return
        with self._lock:
            answers = self._answers.get(message["id"])
            if "pid" in message:
                self._sessions[message["pid"]] = message["start_ticks"]
                self._running[message["pid"]] = message["name"]
        if answers is not None:
            answers.put(message)

    def _notify(self, message: Message) -> None:
        with self._lock:
            self._running.pop(message["pid"], None)
        how = Exit(message["at_ns"], message["code"], message["signal"])
        for listener in tuple(self._listeners):
            listener(ExitNotice(message["name"], message["pid"], how))

    def _on_end(self, why: str) -> None:
        self._gone = True
        with self._lock:
            waiting = tuple(self._answers.values())
        for answers in waiting:
            answers.put(_GONE)
        if self._on_lost is not None and not self._closing:
            self._on_lost(f"the keeper's {why}; see {self._log_path}")
