"""The users of one process, and what can be done with them: end the load, audit, close."""

from __future__ import annotations

import functools
import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import gevent.pool
import locust
from locust.argument_parser import get_parser
from locust.env import Environment

from chaosctl.errors import RecordingError
from chaosctl.swarm.bot import Bot
from chaosctl.swarm.config import SwarmConfig
from chaosctl.swarm.control import Emit
from chaosctl.swarm.dispatch import SeatDispatcher
from chaosctl.swarm.health import Health
from chaosctl.swarm.loading import load_user_classes
from chaosctl.swarm.ordinary import request_listener
from chaosctl.swarm.recorder import Recorder
from chaosctl.swarm.seats import Seat, deal
from chaosctl.swarm.troubles import Troubles
from chaosctl.swarm.users import Roster, made_name, make_classes, weights

REPORT_S = 1.0
# How long a user may take to finish its turn when a stage lowers their number.
LEAVE_WITHIN_S = 5.0
AUDITS_AT_ONCE = 100
AUDIT_TRIES = 6
AUDIT_PAUSE_S = 0.25


class Cast:
    """The user classes of the bots file and every seat: the same in each process of the swarm. Raises NotReadyError."""

    def __init__(self, config: SwarmConfig) -> None:
        # Ordinary users draw from the process-wide source; to seed that is the best there is for them.
        random.seed(f"{config.seed}")
        self.classes = load_user_classes(Path(config.bots_file), config.bots_class)
        self.seats = deal(config.bots, weights(self.classes), config.workers)

    def class_of(self, seat: Seat) -> str:
        """Return the name of the Locust class that sits there."""
        return made_name(self.classes[seat.user_class], seat.cohort)

    def environment(self, user_classes: list[Any], rank_of: Any) -> Any:
        """Return a Locust environment as `locust -f FILE` would make it, with our dispatcher."""
        # Locust logs a traceback for each exception of a user; they are counted instead.
        logging.getLogger("locust.user.task").disabled = True
        logging.getLogger("locust.user.users").disabled = True
        options = get_parser(default_config_files=[]).parse_args([])
        dispatcher = functools.partial(SeatDispatcher, seats=self.seats, class_of=self.class_of, rank_of=rank_of)
        return Environment(
            user_classes=user_classes,
            events=locust.events,
            parsed_options=options,
            stop_timeout=LEAVE_WITHIN_S,
            dispatcher_class=dispatcher,
        )


class Crew:
    """The load-generating part of the swarm that runs in this process, as worker number `worker`."""

    def __init__(self, config: SwarmConfig, cast: Cast, worker: int, emit: Emit) -> None:
        random.seed(f"{config.seed}:{worker}")
        open_loop = any(issubclass(user_class, Bot) for user_class in cast.classes)
        self._worker = worker
        self._emit = emit
        self._recorder = Recorder(
            Path(config.bundle), config.origin_monotonic_ns, worker, config.workers, open_loop=open_loop
        )
        self._roster = Roster(config, self._recorder)
        self._troubles = Troubles(emit)
        self._health = Health()
        self._greenlets = gevent.pool.Group()
        made = make_classes(cast.classes, cast.seats, self._roster, worker)
        self.environment = cast.environment(made, lambda _: worker)
        self.environment.events.request.add_listener(request_listener(self._recorder))
        self.environment.events.user_error.add_listener(self._troubles.on_user_error)

    def begin(self) -> None:
        """Start to beat and to report; the environment has its runner by now."""
        self.environment.events.init.fire(environment=self.environment, runner=self.environment.runner, web_ui=None)
        self._greenlets.spawn(self._health.beat)
        self._greenlets.spawn(self._report)

    def do(self, command: dict[str, Any]) -> None:
        """Do what the orchestrator says, and answer when it is done."""
        match command["do"]:
            case "end_load":
                self._end_load(command["within_s"])
                self._emit({"event": "done", "do": "end_load"})
            case "audit":
                failed = self._audit(command["within_s"])
                self._emit({"event": "audited", "bots": len(self._roster.bots), "failed": failed})
            case "stop":
                self._close()
                self._emit({"event": "done", "do": "stop"})

    def _end_load(self, within_s: float) -> None:
        self._roster.ending = True
        self.environment.stop_timeout = within_s
        self.environment.runner.stop()
        self._flush()

    def _audit(self, within_s: float) -> int:
        deadline_s = time.monotonic() + within_s
        audited = [bot for bot in self._roster.bots if type(bot).audit is not Bot.audit]
        pool = gevent.pool.Pool(AUDITS_AT_ONCE)
        running = [pool.spawn(self._audit_one, bot, deadline_s) for bot in audited]
        gevent.joinall(running, timeout=within_s)
        late = [greenlet for greenlet in running if not greenlet.ready()]
        gevent.killall(late, timeout=1.0)
        self._flush()
        return sum(greenlet.value is not True for greenlet in running)

    def _audit_one(self, bot: Bot, deadline_s: float) -> bool:
        """Return whether all that the bot asked in its audit was answered, at the first try or a later one."""
        for attempt in range(AUDIT_TRIES):
            bot.expect_no_turn()
            failed_before = bot.failed_operations
            try:
                bot.audit()
            except Exception as error:  # noqa: BLE001  # it is somebody else's code, which can raise anything
                self._troubles.on_user_error(bot, error, error.__traceback__)
                return False
            if bot.failed_operations == failed_before:
                return True
            pause_s = AUDIT_PAUSE_S * 2**attempt
            if time.monotonic() + pause_s > deadline_s:
                break
            gevent.sleep(pause_s)
        return False

    def _close(self) -> None:
        self._roster.ending = True
        self.environment.stop_timeout = 0.0
        self.environment.runner.stop()
        self.environment.events.quitting.fire(environment=self.environment, reverse=True)
        for bot in self._roster.bots:
            bot.hang_up("closed")
        self._greenlets.kill()
        self._troubles.summarise()
        self._emit(self._line())
        self._write(self._recorder.close)

    def _report(self) -> None:
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + REPORT_S, time.monotonic())
            gevent.sleep(due_s - time.monotonic())
            self._flush()
            self._emit(self._line())

    def _line(self) -> dict[str, Any]:
        return {
            "event": "generator",
            "worker": self._worker,
            "at_ns": self._recorder.run_ns(),
            **self._health.take(),
            "users": self.environment.runner.user_count,
            **self._recorder.take_tally(),
        }

    def _flush(self) -> None:
        self._write(self._recorder.flush)

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except RecordingError as error:
            # Load that is not recorded proves nothing, and the orchestrator has to know why.
            self._emit({"event": "crashed", "part": "swarm", "why": str(error)})
            os._exit(int(error.exit_code))
