"""Asking every replica of a service for its role: all at once, each within a bound."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http.client import HTTPException

from chaosctl.deploy.contract import Driver
from chaosctl.errors import ChaosctlError
from chaosctl.experiment.interpolate import expand
from chaosctl.experiment.model import Ask, Target
from chaosctl.runner.children import ask_url
from chaosctl.runner.roles import Answers, RoleAnswer, role_in

# The clock of the faults waits for the answers: what hangs makes a fault so late.
ANSWER_WITHIN_S = 0.5
_MOST_BYTES = 1 << 20
_SHOWN = 80


@dataclass(frozen=True)
class Roles:
    """Asks the replicas of a service for their roles."""

    target: Target
    driver: Driver
    environ: Mapping[str, str]

    def ask(self, service: str) -> Answers:
        """Return what each replica says of itself. What has not answered within the bound has no role."""
        replicas, status = self.target.services[service].replicas, self.target.services[service].offers.status
        if status is None:
            return {index: RoleAnswer(None, "it offers no status") for index in range(replicas)}
        pool = ThreadPoolExecutor(replicas, thread_name_prefix="roles")
        asked = {index: pool.submit(self._role, service, index, status) for index in range(replicas)}
        wait(asked.values(), ANSWER_WITHIN_S)
        pool.shutdown(wait=False, cancel_futures=True)
        return {index: _answer(future) for index, future in asked.items()}

    def _role(self, service: str, index: int, ask: Ask) -> RoleAnswer:
        try:
            return role_in(self._status(service, index, ask))
        except (ChaosctlError, OSError, HTTPException, subprocess.SubprocessError, ValueError) as error:
            return RoleAnswer(None, f"{type(error).__name__}: {error}"[:_SHOWN])

    def _status(self, service: str, index: int, ask: Ask) -> bytes:
        values = self.driver.values(service, index)
        if ask.http is not None:
            # No proxy from the environment: the target is not behind one.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(ask_url(ask.http, values), timeout=ANSWER_WITHIN_S) as answer:
                body: bytes = answer.read(_MOST_BYTES)
            return body
        command = expand(ask.command or (), values)
        done = subprocess.run(
            command, env=dict(self.environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_WITHIN_S,
            check=True,
        )  # fmt: skip
        return done.stdout


def _answer(future: Future[RoleAnswer]) -> RoleAnswer:
    return future.result() if future.done() else RoleAnswer(None, f"no answer within {ANSWER_WITHIN_S:g} s")
