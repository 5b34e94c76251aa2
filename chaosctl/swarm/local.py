"""A swarm of one process: Locust's local runner."""

from __future__ import annotations

from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.control import Control
from chaosctl.swarm.crew import Cast, Crew

# Locust has no "all at once"; this is.
AT_ONCE_PER_S = 1e9


def spawn_rate_per_s(present: int, count: int, over_s: float) -> float:
    """Return how many users a second come or go, to be `count` after `over_s`."""
    return max(abs(count - present), 1) / over_s if over_s > 0 else AT_ONCE_PER_S


def run_local(config: SwarmConfig, control: Control) -> None:
    """Do what the orchestrator says until it says stop. Raises NotReadyError."""
    crew = Crew(config, Cast(config), 0, control.emit)
    runner = crew.environment.create_local_runner()
    crew.begin()
    control.emit({"event": "ready", "worker": 0})
    for command in iter(control.messages.get, None):
        if command["do"] == "users":
            rate_per_s = spawn_rate_per_s(runner.user_count, command["count"], command["over_s"])
            runner.start(command["count"], rate_per_s)
        else:
            crew.do(command)
        if command["do"] == "stop":
            return
