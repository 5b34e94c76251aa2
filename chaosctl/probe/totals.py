"""Asking a service for its conserved totals, again and again."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from chaosctl.clock import MonotonicClock
from chaosctl.probe.config import TotalsSource

ASK_TIMEOUT_S = 1.0


def keep_observing(
    source: TotalsSource,
    origin_ns: int,
    every_ns: int,
    emit: Callable[[Mapping[str, Any]], None],
    stop: threading.Event,
) -> None:
    """Emit an `observed` message each `every_ns` (or as soon as a slow answer allows), until `stop`."""
    clock = MonotonicClock()
    due_ns = clock.now_ns()
    while clock.sleep_until(due_ns, stop):
        values, error = ask_totals(source)
        now_ns = clock.now_ns()
        emit(
            {
                "event": "observed",
                "what": "totals",
                "service": source.service,
                "values": values,
                "ok": not error,
                "error": error,
                "at_ns": now_ns - origin_ns,
            }
        )
        due_ns = max(due_ns + every_ns, now_ns)


def ask_totals(source: TotalsSource) -> tuple[dict[str, float], str]:
    """Return the totals and "", or nothing and why there are none."""
    try:
        text = _fetch(source.http) if source.http is not None else _run(source.command or ())
        values = json.loads(text)
    except (OSError, HTTPException, subprocess.SubprocessError, ValueError) as error:
        return {}, f"{type(error).__name__}: {error}"[:200]
    if not isinstance(values, dict) or not all(_is_number(value) for value in values.values()):
        return {}, f"not a JSON object of numbers: {text[:80]!r}"
    return values, ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fetch(url: str) -> bytes:
    # No proxy from the environment: the target is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=ASK_TIMEOUT_S) as answer:
        body: bytes = answer.read(1 << 20)
    return body


def _run(command: tuple[str, ...]) -> bytes:
    started = subprocess.run(command, capture_output=True, timeout=ASK_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL)
    return started.stdout
