"""Replicas as containers that compose has made: watched over, ended and started again, but never made anew.

Where a container has a restart policy of its own, the engine plays it, and what it starts is taken up. Since the engine
suppresses the policy of what it is asked to end itself, signals that are to let it act are sent past the engine.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException, HTTPResponse

from chaosctl.deploy.containers import Box, ContainerLauncher, Setting
from chaosctl.deploy.contract import EventSink, Replica
from chaosctl.deploy.launcher import Command
from chaosctl.deploy.replica import SupervisedReplica
from chaosctl.experiment.model import Service
from chaosctl.safety.engine import Engine, EngineError
from chaosctl.safety.exits import ExitNotice
from chaosctl.safety.keeper_client import Spawned

_TAKEN_UP_WITHIN_S = 2.0
_RESTARTING_POLL_S = 0.02
_DOWN_POLL_S = 0.25


class AdoptedReplica(SupervisedReplica):
    """A replica that others may start too: `has_policy` says that the engine does."""

    def __init__(
        self,
        replica: Replica,
        definition: Service,
        launcher: AdoptedLauncher,
        sink: EventSink,
        origin_ns: int,
        *,
        has_policy: bool,
    ) -> None:
        super().__init__(replica, definition, launcher, sink, origin_ns)
        self._has_policy = has_policy

    def signal(self, name: str) -> None:
        """Send a signal to the main process, by the engine only where it is to stay down. Raises NotReadyError."""
        if self._has_policy and not (self._held or self._stopping):
            self._send_from_here(name)
        else:
            super().signal(name)

    def taken_up(self, spawned: Spawned) -> None:
        """Take note that somebody else has started it: the engine, or whoever works at the project."""
        with self._changed:
            self._changed.wait_for(lambda: self._current is None, _TAKEN_UP_WITHIN_S)
            if self._current is not None or self._stopping:
                return
            start = self._noted(spawned, self._new_check(), time.monotonic_ns())
        self._watch_beside(start)


@dataclass(frozen=True)
class Hooks:
    """Who is told: of every end, that the engine is gone, that a replica runs again which was not started here, that
    somebody has removed a container."""

    ended: Callable[[ExitNotice], None]
    engine_gone: Callable[[str], None]
    taken_up: Callable[[str, Spawned], None]
    removed: Callable[[str], None]


class AdoptedLauncher(ContainerLauncher):
    """Implements `deploy.launcher.Launcher` for containers that are there, by the names of their replicas."""

    def __init__(
        self,
        engine: Engine,
        inner_port: Callable[[Replica, str], int],
        boxes: Mapping[str, Box],
        hooks: Hooks,
        *,
        ours: bool,
    ) -> None:
        """`ours`: the run has brought them up, so all that they print is its."""
        super().__init__(engine, Setting("", "", inner_port), hooks.ended, hooks.engine_gone)
        self._boxes = dict(boxes)
        self._hooks = hooks
        self._latest: dict[str, Spawned] = {}
        self._taking = threading.Lock()
        self._ours = ours
        self._closed = False

    def start(self, replica: Replica, command: Command) -> Spawned:
        """Watch over its container: as it is the first time, for compose has started it, else once it is started."""
        box = self._boxes[replica.name]
        with self._taking:
            first = replica.name not in self._latest
            if not first:
                self._ask("POST", f"/containers/{box.id}/start")
            return self._take(replica, box, from_its_start=self._ours or not first)

    def close(self) -> None:
        """Close the logs, and take no note of anything any more."""
        self._closed = True
        super().close()

    def stop_watching(self) -> None:
        """From now on, what is removed is not missed, and what others start is not taken up."""
        self._closed = True

    # -- within

    def _take(self, replica: Replica, box: Box, *, from_its_start: bool) -> Spawned:
        process = self._process(box.id)
        self._latest[replica.name] = process
        output = self._output(box, from_its_start=from_its_start)
        follow = (replica, box.id, process, output)
        threading.Thread(target=self._follow, args=follow, name=f"{replica.name} output", daemon=True).start()
        return process

    def _output(self, box: Box, *, from_its_start: bool) -> HTTPResponse:
        """Return what it prints, from its last start or from now on."""
        # What it prints at once may be older than what the engine calls its start: all since the end before is its.
        ended = str(self._ask("GET", f"/containers/{box.id}/json")["State"]["FinishedAt"])
        since = _as_unix(ended) if from_its_start else f"{time.time():.9f}"
        query = {"follow": 1, "stdout": 1, "stderr": 1, "since": since}
        try:
            return self._open("GET", f"/containers/{box.id}/logs", **query)
        except EngineError as error:
            if error.status is None:
                raise
            # Its logging driver keeps nothing that could be read.
            return self._open("POST", f"/containers/{box.id}/attach", stream=1, stdout=1, stderr=1)

    def _follow(self, replica: Replica, container: str, process: Spawned, output: HTTPResponse) -> None:
        left: Spawned | None = process
        with suppress(EngineError):
            while left is not None:
                super()._follow(replica, container, left, output)
                left = self._started_by_others(replica, left)
                if left is not None:
                    self._hooks.taken_up(replica.name, left)
                    output = self._output(self._boxes[replica.name], from_its_start=True)

    def _started_by_others(self, replica: Replica, ended: Spawned) -> Spawned | None:
        """Wait until others have started it again, and return its process; None once we have, or it is removed.
        Raises EngineError."""
        box = self._boxes[replica.name]
        while not self._closed:
            try:
                state = self._ask("GET", f"/containers/{box.id}/json")["State"]
            except EngineError as error:
                if error.status == 404 and not self._closed:
                    self._hooks.removed(f"somebody else has removed the container {box.id[:12]} of {replica.name}")
                raise
            with self._taking:
                if self._latest[replica.name] is not ended:
                    return None
                if state["Running"] and not state["Restarting"] and state["Pid"] not in (0, ended.pid):
                    self._latest[replica.name] = self._process(box.id)
                    return self._latest[replica.name]
            time.sleep(_RESTARTING_POLL_S if state["Restarting"] else _DOWN_POLL_S)
        return None

    def _code(self, container: str, process: Spawned) -> int | None:
        """As for any container; where the engine was quicker in starting it again, its event tells."""
        code = super()._code(container, process)
        return self._code_of_last_death(container) if code is None else code

    def _code_of_last_death(self, container: str) -> int | None:
        wanted = json.dumps({"container": [container], "event": ["die"]})
        now_s = time.time()
        output = self._open("GET", "/events", since=f"{now_s - 60:.0f}", until=f"{now_s:.0f}", filters=wanted)
        codes = [int(one) for one in _exit_codes(output)]
        return codes[-1] if codes else None


def _exit_codes(output: HTTPResponse) -> Iterator[str]:
    with output, suppress(OSError, HTTPException, ValueError):
        for line in output:
            yield json.loads(line)["Actor"]["Attributes"]["exitCode"]


def _as_unix(told: str) -> str:
    """Return `2026-01-02T03:04:05.123456789Z` as the engine wants to be told a time: `1767323045.123456789`; the year
    1, by which it says never, is 0."""
    whole, _, rest = told.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(f"{whole}+00:00").timestamp()
    return f"{max(0.0, seconds):.0f}.{rest or 0}"
