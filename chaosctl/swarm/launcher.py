"""The orchestrator's side of the swarm. Never imports Locust."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.safety.child import Child, Message
from chaosctl.swarm.config import SwarmConfig

# How much longer than it may take we wait for the answer to a command.
GRACE_S = 6.0
ANSWERS = ("ready", "failed", "done", "audited")


class Swarm:
    """The swarm as one thing, whatever number of processes it has.

    `on_message` is called from another thread for what is to be recorded: `generator`, `bot_error`, `audited`, and
    `crashed` when the swarm died without having been told to.
    """

    def __init__(
        self,
        config: SwarmConfig,
        on_message: Callable[[Mapping[str, Any]], None],
        env: Mapping[str, str],
        log_path: Path,
    ) -> None:
        self._config = config
        self._on_message = on_message
        self._log_path = log_path
        self._answers: dict[str, Message] = {}
        self._changed = threading.Condition()
        self._lost: str | None = None
        self._ready = self._stopped = False
        # The order of sets of strings is part of what a bot does, so it follows from the seed as well.
        labelled = {**env, "CHAOSCTL_RUN": config.run_id, "PYTHONHASHSEED": str(config.seed % 2**32)}
        self._child = Child(
            [sys.executable, "-m", "chaosctl.swarm"], labelled, log_path, self._on_child_message, self._on_child_lost
        )

    @property
    def pid(self) -> int | None:
        """The process id of the swarm's first process, None before the start."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.alive()

    def start(self, ready_within_s: float = 60.0) -> None:
        """Start it and wait until it can make load. Raises NotReadyError with a sentence on what is wrong."""
        self._child.start(json.loads(self._config.to_json()))
        answer = self._wait_for(("ready", "failed"), ready_within_s)
        if answer is not None and answer["event"] == "ready":
            self._ready = True
            return
        self.stop()
        if answer is not None:
            raise NotReadyError(str(answer["why"]))
        if self._lost is not None:
            raise NotReadyError(f"the swarm {self._lost} before it was ready; see {self._log_path}")
        raise NotReadyError(f"the swarm was not ready within {ready_within_s:g} s; see {self._log_path}")

    def users(self, count: int, over_s: float) -> None:
        """Move the number of users to `count` over `over_s`; returns at once."""
        self._child.send({"do": "users", "count": count, "over_s": over_s})

    def end_load(self, within_s: float) -> bool:
        """End all users; each may finish its turn. Return whether that was done in time."""
        return self._command({"do": "end_load", "within_s": within_s}, "done", within_s + GRACE_S) is not None

    def audit(self, within_s: float) -> Mapping[str, Any]:
        """Let every bot read back what it was promised. Return the `audited` message: `bots`, and how many `failed`.

        When the swarm is gone, none was audited: then there is a `why`.
        """
        answer = self._command({"do": "audit", "within_s": within_s}, "audited", within_s + GRACE_S)
        if answer is not None:
            return answer
        bots = len(self._config.bots)
        return {"event": "audited", "bots": bots, "failed": bots, "why": self._lost or "the swarm did not answer"}

    def stop(self) -> None:
        """End it and everything it started. Idempotent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._ready:
            self._child.stop({"do": "stop"})
        else:
            self._child.stop(within_s=0.0)  # it has nothing to say yet, and hears nothing while it imports Locust

    def _command(self, command: Message, answer: str, within_s: float) -> Message | None:
        with self._changed:
            self._answers.pop(answer, None)
        if not self._child.send(command):
            return None
        return self._wait_for((answer,), within_s)

    def _wait_for(self, events: tuple[str, ...], within_s: float) -> Message | None:
        """Return the first of these answers; None when it does not come, or when the swarm is gone."""
        deadline_s = time.monotonic() + within_s
        with self._changed:
            while (left_s := deadline_s - time.monotonic()) > 0:
                for event in events:
                    if event in self._answers:
                        return self._answers.pop(event)
                if self._lost is not None or self._stopped:
                    return None
                self._changed.wait(left_s)
        return None

    def _on_child_message(self, message: Message) -> None:
        event = str(message.get("event"))
        if event in ANSWERS:
            with self._changed:
                self._answers[event] = message
                self._changed.notify_all()
        if event not in ("ready", "failed", "done"):
            self._on_message(message)

    def _on_child_lost(self, why: str) -> None:
        with self._changed:
            self._lost = why
            self._changed.notify_all()
        if self._ready:
            self._on_message({"event": "crashed", "part": "swarm", "why": why})
