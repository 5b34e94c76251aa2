"""Watching over the relay (one that ends or freezes takes the links with it, and what is measured after that says
nothing about the target) and over the safety lever."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from chaosctl.exchange import exchange
from chaosctl.experiment.model import Hello
from chaosctl.relay.toxiproxy import ToxiproxyRelay
from chaosctl.safety import lever
from chaosctl.safety.label import end_processes

LOOK_EVERY_S = 0.2
ASK_EVERY_S = 1.0
ANSWER_WITHIN_S = 5.0
VERSION = Hello(http="version")
LEVER_EVERY_S = 0.1


def watch_relay(relay: ToxiproxyRelay, over: Callable[[float], bool], on_trouble: Callable[[str], None]) -> None:
    """Look after the relay until `over(seconds)`, which waits so long for the end of the run, says that it has come.

    `on_trouble` is called once, with a sentence, when the server's process ends or its API does not answer.
    """
    ask_at_s = time.monotonic()
    while not over(LOOK_EVERY_S):
        why = ""
        if relay.info.started_by_us and not relay.alive():
            why = "the relay process ended by itself"
        elif time.monotonic() >= ask_at_s:
            ask_at_s = time.monotonic() + ASK_EVERY_S
            why = _silence(relay.info.api_url)
            if why and relay.info.started_by_us and relay.pid is not None:
                # Nothing can be healed on it any more, and what is in force on it ends with it.
                end_processes([relay.pid], term_within_s=0.0)
        if why:
            if not over(0.0):
                on_trouble(why)
            return


def _silence(api_url: str) -> str:
    """Return why the API does not answer, or nothing. A bare exchange: nothing that could delay a fault that is due."""
    parts = urlsplit(api_url)
    address = parts.netloc if parts.port else f"{parts.netloc}:80"
    answer = exchange(address, VERSION, ANSWER_WITHIN_S)
    return "" if answer.outcome == "answered" else f"the relay at {api_url} does not answer any more: {answer.detail}"


def watch_lever(before: lever.Lever, over: Callable[[float], bool], on_halt: Callable[[str], None]) -> None:
    """Look whether the lever is pulled until `over(seconds)`, which waits so long for the end of the run, says that it
    has come. `before` is how the lever stood when the run began; `on_halt` is called once, with a sentence."""
    while not over(LEVER_EVERY_S):
        if (halt := lever.pulled_since(before)) is not None:
            on_halt(f"halted {halt}")
            return
