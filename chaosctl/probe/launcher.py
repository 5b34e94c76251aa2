"""The orchestrator's side of the probe."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chaosctl.errors import NotReadyError
from chaosctl.probe.config import ProbeConfig
from chaosctl.safety.child import Child, Message

READY_WITHIN_S = 15.0


class ProbeProcess:
    """The probe as one thing.

    `on_message` is called from another thread for `probe`, `observed`, and `crashed` when it died untold.
    """

    def __init__(
        self,
        config: ProbeConfig,
        on_message: Callable[[Mapping[str, Any]], None],
        env: Mapping[str, str],
        log_path: Path,
    ) -> None:
        self._config = config
        self._on_message = on_message
        self._log_path = log_path
        self._ready = threading.Event()
        self._lost: str | None = None
        self._child = Child(
            [sys.executable, "-m", "chaosctl.probe"],
            {**env, "CHAOSCTL_RUN": config.run_id},
            log_path,
            self._on_child_message,
            self._on_child_lost,
        )

    @property
    def pid(self) -> int | None:
        """Its process id, None before the start."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.alive()

    def start(self) -> None:
        """Start it and wait until it asks. Raises NotReadyError."""
        self._child.start(json.loads(self._config.to_json()))
        if self._ready.wait(READY_WITHIN_S) and self._lost is None:
            return
        self.stop()
        why = self._lost or f"was not ready within {READY_WITHIN_S:g} s"
        raise NotReadyError(f"the probe {why}; see {self._log_path}")

    def stop(self) -> None:
        """End it; what it scheduled is recorded. Idempotent."""
        self._child.stop()

    def _on_child_message(self, message: Message) -> None:
        if message.get("event") == "ready":
            self._ready.set()
        else:
            self._on_message(message)

    def _on_child_lost(self, why: str) -> None:
        was_ready = self._ready.is_set()
        self._lost = why
        self._ready.set()
        if was_ready:
            self._on_message({"event": "crashed", "part": "probe", "why": why})
