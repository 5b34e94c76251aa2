"""What several checkers want to know of one history is worked out once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from chaosctl.recording.model import History

T = TypeVar("T")


def once(derive: Callable[[History], T]) -> Callable[[History], T]:
    """Make `derive` remember its answer for as long as the history lives that it was asked about last."""
    known: dict[int, tuple[weakref.ref[History], T]] = {}

    @wraps(derive)
    def remembered(history: History) -> T:
        reference, answer = known.get(id(history), (None, None))
        if reference is not None and reference() is history:
            return answer  # type: ignore[return-value]  # what stands beside a living reference was derived
        fresh = derive(history)
        known.clear()
        known[id(history)] = (weakref.ref(history, lambda _: known.clear()), fresh)
        return fresh

    return remembered
