"""A swarm of several processes on this machine: Locust's master, which makes no load, and its workers as children."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import gevent
import gevent.event
import locust.runners
from gevent import subprocess

from chaosctl.safety.child import how_it_ended
from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.control import Control
from chaosctl.swarm.crew import Cast
from chaosctl.swarm.local import spawn_rate_per_s
from chaosctl.swarm.users import make_classes
from chaosctl.swarm.worker import CHANNEL

WATCH_S = 0.2
STOP_WITHIN_S = 5.0
# Locust ends a whole test when its workers are silent for 3 s, and spawns anew after 60 s. An overloaded worker is
# to be seen as what it is, and a dead one we see ourselves.
locust.runners.HEARTBEAT_LIVENESS = 10**9


def run_master(config: SwarmConfig, control: Control) -> None:
    """Do what the orchestrator says until it says stop. Raises NotReadyError."""
    master = Master(config, control)
    for command in iter(control.messages.get, None):
        master.do(command)
        if command["do"] == "stop":
            return


class Master:
    """Starts the workers, passes commands down, and messages up: of all answers to one command it makes one."""

    def __init__(self, config: SwarmConfig, control: Control) -> None:
        self._control = control
        cast = Cast(config)
        self._ranks: dict[str, int] = {}
        self._answers: dict[int, dict[str, Any]] = {}
        self._answered = gevent.event.Event()
        self._lost: set[int] = set()
        self._stopping = False
        self._ramp: Any = None
        made = make_classes(cast.classes, cast.seats, None)
        self._environment = cast.environment(made, self._ranks.__getitem__)
        # Workers have their own. Those sent with each step of a ramp cost them a second of parsing each time.
        self._environment.parsed_options = None
        self._runner = self._environment.create_master_runner("127.0.0.1", 0)
        self._runner.register_message(CHANNEL, self._on_message)
        self._workers = [self._spawn(config, number) for number in range(config.workers)]
        gevent.spawn(self._watch)
        self._environment.events.init.fire(environment=self._environment, runner=self._runner, web_ui=None)

    def _spawn(self, config: SwarmConfig, number: int) -> Any:
        # Its input is a pipe that is never written again: it closes when this process ends, and the worker ends too.
        worker = subprocess.Popen(
            [sys.executable, "-m", "chaosctl.swarm"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        role = {"worker": number, "master_port": self._runner.server.port}
        worker.stdin.write(json.dumps({**asdict(config), "role": role}).encode() + b"\n")
        worker.stdin.flush()
        return worker

    def do(self, command: dict[str, Any]) -> None:
        """Do what the orchestrator says, and answer when all workers have."""
        if command["do"] == "users":
            self._end_ramp()
            rate_per_s = spawn_rate_per_s(self._runner.target_user_count, command["count"], command["over_s"])
            self._ramp = gevent.spawn(self._runner.start, command["count"], rate_per_s)
            return
        self._end_ramp()
        # Otherwise Locust deals the users of a worker that ends to those that are still to end.
        self._runner.update_state(locust.runners.STATE_STOPPED)
        self._stopping = self._stopping or command["do"] == "stop"
        self._answers.clear()
        self._answered.clear()
        self._runner.send_message(CHANNEL, command)
        if not self._everybody_answered():
            self._answered.wait(command.get("within_s", 0.0) + STOP_WITHIN_S)
        self._answer(command)

    def _answer(self, command: dict[str, Any]) -> None:
        answers = self._answers.values()
        if command["do"] == "audit":
            bots, failed = (sum(answer[what] for answer in answers) for what in ("bots", "failed"))
            self._control.emit({"event": "audited", "bots": bots, "failed": failed})
        else:
            self._control.emit({"event": "done", "do": command["do"]})

    def _end_ramp(self) -> None:
        if self._ramp is not None:
            self._ramp.kill()

    def _on_message(self, environment: Any, msg: Any) -> None:
        message = msg.data
        match message["event"]:
            case "ready":
                self._ranks[msg.node_id] = message["worker"]
                if len(self._ranks) == len(self._workers):
                    self._control.emit({"event": "ready", "workers": len(self._workers)})
            case "done" | "audited":
                self._answers[self._ranks[msg.node_id]] = message
                if self._everybody_answered():
                    self._answered.set()
            case _:
                self._control.emit(message)

    def _everybody_answered(self) -> bool:
        return len(self._answers.keys() | self._lost) == len(self._workers)

    def _watch(self) -> None:
        """Notice workers that end before they are told to: the load is not what it should be from then on."""
        while not self._stopping:
            for number, worker in enumerate(self._workers):
                if number not in self._lost and worker.poll() is not None and not self._stopping:
                    self._lost.add(number)
                    why = f"load worker {number} {how_it_ended(worker.returncode)}"
                    self._control.emit({"event": "crashed", "part": "swarm", "why": why})
                    if self._everybody_answered():
                        self._answered.set()
            gevent.sleep(WATCH_S)
