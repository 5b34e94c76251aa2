"""One of several load-generating processes: Locust's worker, with our commands on Locust's own channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gevent
import gevent.queue

from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.control import Control
from chaosctl.swarm.crew import Cast, Crew

CHANNEL = "chaosctl"


def run_worker(config: SwarmConfig, worker: int, master_port: int, control: Control) -> None:
    """Connect to the master of this machine and do what it says until it says stop. Raises NotReadyError."""
    commands: Any = gevent.queue.Queue()

    def emit(message: Mapping[str, Any]) -> None:
        runner.send_message(CHANNEL, dict(message))

    crew = Crew(config, Cast(config), worker, emit)
    runner = crew.environment.create_worker_runner("127.0.0.1", master_port)
    # A queue, since Locust's own messages must be served while a command takes its time.
    runner.register_message(CHANNEL, lambda environment, msg: commands.put(msg.data))
    crew.begin()
    emit({"event": "ready", "worker": worker})
    for command in iter(commands.get, None):
        crew.do(command)
        if command["do"] == "stop":
            gevent.sleep(0.1)  # zmq sends in a thread of its own
            return
