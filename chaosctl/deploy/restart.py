"""The restart policy: whether and when a replica that died is started again, and the thread that sees to it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from typing import Protocol

from chaosctl.experiment.model import Restart
from chaosctl.safety.exits import Exit, ExitNotice


def restart_due_ns(policy: Restart | None, exit: Exit, restarts: int, wanted_down: bool) -> int | None:
    """Return when (monotonic ns) a replica that ended so is started again; None: it stays dead.

    `restarts` counts how often the policy has acted before; `wanted_down` is true while a fault holds it down or the
    deployment is being stopped.
    """
    if policy is None or wanted_down or restarts >= policy.at_most:
        return None
    return exit.at_ns + policy.after_ns


class Supervised(Protocol):
    """What the supervisor knows of a replica. Its methods are called from the supervisor's thread."""

    @property
    def name(self) -> str:
        """The name under which the keeper runs it."""
        ...

    @property
    def restart_due_ns(self) -> int | None:
        """When it has to be started again."""
        ...

    def ended(self, notice: ExitNotice) -> None:
        """Take note of an end."""
        ...

    def restart_if_due(self) -> None:
        """Start it, if that is still wanted and its time has come."""
        ...


class Supervisor:
    """One thread that takes exit notices in order and starts replicas when they are due."""

    def __init__(self, replicas: Iterable[Supervised]) -> None:
        self._replicas = {replica.name: replica for replica in replicas}
        self._notices: queue.SimpleQueue[ExitNotice | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, notice: ExitNotice) -> None:
        """Hand over a notice; returns at once. What is not one of these replicas is somebody else's."""
        if notice.name in self._replicas:
            self._notices.put(notice)

    def stop(self, within_s: float) -> None:
        """Work off the notices that were posted, then end the thread. Idempotent."""
        self._notices.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout=within_s)

    def _run(self) -> None:
        while True:
            try:
                notice = self._notices.get(timeout=self._pause_s())
            except queue.Empty:
                for replica in self._replicas.values():
                    replica.restart_if_due()
                continue
            if notice is None:
                return
            self._replicas[notice.name].ended(notice)

    def _pause_s(self) -> float | None:
        """Return how long nothing is due; None: for ever."""
        due_ns = [due for replica in self._replicas.values() if (due := replica.restart_due_ns) is not None]
        return max(0.0, (min(due_ns) - time.monotonic_ns()) / 1e9) if due_ns else None
