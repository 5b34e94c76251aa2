"""What explains a divergence: the inputs of its tick that bear on it, and what the fields were before that tick."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chaosctl.recording.digests import field_diff

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording

_LINES_SHOWN = 5
_TEXT_SHOWN = 300


def inputs_of(recording: Recording, tick: int, paths: Iterable[str] = ()) -> list[str]:
    """Return the first lines of the input logs that say they belong to `tick`; empty for a log that is not JSON.

    Of a line with lists of inputs, those that name a part of `paths` (fields that differ) are shown and the others
    counted, where any does.
    """
    names = {name for path in paths for name in re.split(r"[.\[\]]+", path) if name and not name.isdigit()}
    found: list[str] = []
    for log in sorted((recording.folder / "inputs").glob("*")):
        with log.open("rb") as file:
            for line in file:
                said = _said_at(line, tick)
                if said is not None and len(found) < _LINES_SHOWN:
                    found.append(_that_bear_on(said, names) or line.decode(errors="replace").strip()[:_TEXT_SHOWN])
    return found


def _said_at(line: bytes, tick: int) -> Mapping[str, Any] | None:
    if str(tick).encode() not in line:
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) and said.get("tick") == tick else None


def _that_bear_on(said: Mapping[str, Any], names: set[str]) -> str | None:
    """Return the inputs in a line that name one of `names`, in words; None where none does, or all do."""
    given = [one for value in said.values() if isinstance(value, list) for one in value]
    bearing = [one for one in given if any(json.dumps(name) in json.dumps(one) for name in names)]
    if not bearing or len(bearing) == len(given):
        return None
    text = ", ".join(json.dumps(one, ensure_ascii=False) for one in bearing)
    shown = text if len(text) <= _TEXT_SHOWN else f"{text[:_TEXT_SHOWN]}..."
    return f"tick {said['tick']}: {shown} (and {len(given) - len(bearing)} inputs that name none of these fields)"


def values_before(before: Any, *after: Any) -> dict[str, Any]:
    """Return what each field was in `before` that is another one in any of `after`, by its path."""
    return {path: old for state in after for path, old, _ in field_diff(before, state)}
