"""What keeps a replay from being compared, whatever its digests say: it ended badly, has too few or too many ticks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaosctl.recording.digests import DigestRun
    from chaosctl.recording.reader import Recording

# Shorter digests may be plain numbers, which differ in their length.
_SHORTEST_DIGEST = 8
_TAIL_BYTES = 2**20
# With this code a replay command says that its input log is damaged; where, is on its standard error.
_DAMAGED_CODE = 4


@dataclass(frozen=True)
class InputTicks:
    """The first and last tick that an input log names."""

    first: int
    last: int


def input_ticks(recording: Recording) -> InputTicks | None:
    """Return the ticks of the recorded input log; None where its lines do not say them, or there is another log."""
    paths = sorted((recording.folder / "inputs").glob("*.log"))
    if len(paths) != 1:
        return None
    try:
        first, last = _ends(paths[0])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return InputTicks(first, last) if type(first) is int and type(last) is int else None


def _ends(path: Path) -> tuple[Any, Any]:
    with path.open("rb") as file:
        first = json.loads(file.readline())["tick"]
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        *whole, torn = file.read().split(b"\n")
    return first, json.loads(torn if _is_json(torn) else whole[-1])["tick"]


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def made_otherwise(run: DigestRun | None, against: DigestRun | None) -> str | None:
    """Return why digests of two runs cannot be compared: each has one length, and it is not the same."""
    ours, theirs = _width(run), _width(against)
    if run is None or against is None or ours is None or theirs is None or ours == theirs:
        return None
    return (
        f"its digests have {ours} characters and those of {against.name} {theirs}: "
        "they are not made in the same way, and cannot be compared"
    )


def _width(run: DigestRun | None) -> int | None:
    """Return the length that all digests of a run have."""
    widths = {len(line.digest) for line in run.lines.values()} if run is not None else set()
    return widths.pop() if len(widths) == 1 and min(widths) >= _SHORTEST_DIGEST else None


def why_not(
    run: DigestRun | None,
    against: DigestRun | None,
    plain: DigestRun | None,
    end: Mapping[str, Any] | None,
    inputs: InputTicks | None,
) -> str | None:
    """Return why a replay shows nothing although no digest of it differs; None: it was compared.

    `plain`: the first plain replay; digests that never change show nothing. The live run may have fewer ticks than its
    replays: it was ended in the middle.
    """
    if end is None:
        return "it is not recorded that it finished"
    until_tick = end.get("until_tick")
    if (end.get("code") != 0 and until_tick is None) or end.get("error"):
        return str(end.get("error") or f"it ended with code {end.get('code')}")
    if run is None or not run.lines:
        return "it gave no digest"
    if against is not None and (lacking := len(_wanted(against, end) - run.lines.keys())):
        return f"{lacking} ticks of {against.name} are missing from it"
    if inputs is not None and run.ticks[-1] > inputs.last and len(run.lines) > inputs.last - inputs.first + 1:
        return f"it has ticks up to {run.ticks[-1]}, and its input log ends at tick {inputs.last}"
    if plain is not None and (more := len(run.lines.keys() - plain.lines.keys())):
        return f"it has ticks that {plain.name} does not have: {more}"
    if plain is not None and len(plain.lines) > 1 and len({line.digest for line in plain.lines.values()}) == 1:
        return f"the digest is the same at all {len(plain.lines)} ticks of {plain.name}: it tells no state from another"
    return None


def damage(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what plain replays (rows as in verdict.json) say of their log, where all of them call it damaged."""
    plain = [row for row in rows if row["factor"] is None]
    damaged = bool(plain) and all(row["code"] == _DAMAGED_CODE for row in plain)
    return str(plain[0]["why_not"]) if damaged else None


def _wanted(against: DigestRun, end: Mapping[str, Any]) -> set[int]:
    """Return the ticks that a replay has to have: all, unless it was begun later or killed earlier, on purpose."""
    from_tick, until_tick = end.get("from_tick"), end.get("until_tick")
    return {
        tick
        for tick in against.lines
        if (from_tick is None or tick >= from_tick) and (until_tick is None or tick <= until_tick)
    }
