"""What a run's events say when its orchestrator was killed and could not say it itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from chaosctl.safety.lines import append_line


def events_path(bundle: Path) -> Path:
    """Return where the events of a run lie in its bundle."""
    return bundle / "events.jsonl"


def record_interruption(bundle: Path, at_ns: int, by: str, left: Iterable[str]) -> None:
    """Append `interrupted`, and `cleanup_failed` for each thing that is left. `at_ns` counts from the run's start.

    A bundle that cannot be written is left as it is: it then ends without `run_ended`, which says as much.
    """
    events = [{"at_ns": at_ns, "event": "interrupted", "signal": "killed", "by": by}]
    events += [{"at_ns": at_ns, "event": "cleanup_failed", "what": what} for what in left]
    with contextlib.suppress(OSError):
        for event in events:
            append_line(events_path(bundle), json.dumps(event))


def last_event(bundle: Path) -> tuple[int, str]:
    """Return the time and the name of the last readable event; `(0, "")` where there is none."""
    try:
        lines = events_path(bundle).read_bytes().splitlines()
    except OSError:
        return 0, ""
    for line in reversed(lines):
        try:
            event = json.loads(line)
            return int(event["at_ns"]), str(event["event"])
        except (ValueError, TypeError, KeyError):
            continue
    return 0, ""
