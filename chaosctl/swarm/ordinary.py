"""Recording what ordinary Locust users do, from Locust's request events.

They are closed-loop: there is no intended time, so it is the time of sending.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from chaosctl.recording.model import Outcome
from chaosctl.swarm.bot import RECORDED
from chaosctl.swarm.recorder import Recorder
from chaosctl.swarm.users import current_seat

# By name, since they are scattered over requests, urllib3, http.client and geventhttpclient.
_NEVER_SENT = {
    "ConnectionRefusedError",
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeout",
    "ConnectTimeoutError",
    "gaierror",
    "InvalidURL",
    "MissingSchema",
}
_NOBODY_KNOWS = {
    "Timeout",
    "TimeoutError",
    "ReadTimeout",
    "ReadTimeoutError",
    "ConnectionError",
    "ConnectionResetError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "RemoteDisconnected",
    "IncompleteRead",
    "ProtocolError",
    "ChunkedEncodingError",
    "HTTPConnectionClosed",
    "EOFError",
}


def request_listener(recorder: Recorder) -> Callable[..., None]:
    """Return a listener for `events.request` that records what `Bot` has not recorded itself."""

    def on_request(
        name: str, response_time: float | None, exception: Any = None, context: Any = None, **_: Any
    ) -> None:
        if context is RECORDED:
            return
        bot, cohort = current_seat()
        outcome, error = judge(exception)
        end_ns = time.monotonic_ns()
        sent_ns = end_ns - round((response_time or 0.0) * 1e6)
        recorder.sample(sent_ns, sent_ns, end_ns, outcome, bot, str(name), cohort, error, open_loop=False)

    return on_request


def judge(exception: Any) -> tuple[Outcome, str]:
    """Return outcome and reason: a timeout or a cut connection is `info`, what was never sent is `fail`."""
    if not exception:
        return Outcome.OK, ""
    if not isinstance(exception, BaseException):
        return Outcome.FAIL, _label(str(exception))
    names = {type(error).__name__ for error in _chain(exception)}
    response = getattr(exception, "response", None)
    if status := getattr(response, "status_code", 0):
        return Outcome.FAIL, f"HTTP {status}"
    if names & _NEVER_SENT:
        return Outcome.FAIL, "refused"
    if names & _NOBODY_KNOWS:
        silent = any("Timeout" in name for name in names)
        return Outcome.INFO, "silent" if silent else "cut"
    return Outcome.FAIL, _label(f"{type(exception).__name__}: {exception}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it came of: causes, contexts and exceptions among its arguments."""
    waiting, seen = [error], 0
    while waiting and seen < 20:
        current = waiting.pop()
        seen += 1
        yield current
        inner = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
        waiting.extend(one for one in inner if isinstance(one, BaseException))


def _label(text: str) -> str:
    """Return a reason short enough to be a name, with its numbers taken out."""
    return re.sub(r"\d+", "N", text.splitlines()[0] if text else "")[:60]
