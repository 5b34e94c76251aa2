"""What bots raised: told once a kind at once, and with its count at the end. It must neither flood nor end a run."""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from chaosctl.swarm.control import Emit

KINDS = 50


class Troubles:
    """Counts the exceptions of bots by type and place."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._counts: Counter[str] = Counter()
        self._first_bot: dict[str, str] = {}

    def on_user_error(self, user_instance: Any, exception: BaseException, tb: TracebackType | None) -> None:
        """Listen to Locust's `user_error`."""
        user = getattr(user_instance, "user", user_instance)
        bot = getattr(user, "chaosctl_seat", ("?", ""))[0]
        error = f"{type(exception).__name__}: {str(exception)[:200]}{_place(tb)}"
        kind = f"{type(exception).__name__}{_place(tb)}"
        if kind not in self._counts and len(self._counts) >= KINDS:
            kind = error = "other errors"
        self._counts[kind] += 1
        if kind not in self._first_bot:
            self._first_bot[kind] = bot
            self._emit({"event": "bot_error", "bot": bot, "error": error, "count": 1})

    def summarise(self) -> None:
        """Tell the counts of what happened more than once."""
        for kind, count in self._counts.items():
            if count > 1:
                self._emit({"event": "bot_error", "bot": self._first_bot[kind], "error": kind, "count": count})


def _place(tb: TracebackType | None) -> str:
    frames = traceback.extract_tb(tb)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
