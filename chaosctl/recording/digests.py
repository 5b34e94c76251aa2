"""State digests of the target, tick by tick: reading them, and where two runs part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chaosctl.recording.model import DigestLine

_ABSENT = "(absent)"


@dataclass(frozen=True)
class DigestRun:
    """The digests of one run of the target, by tick, ascending. `rewritten` counts ticks that were given again
    (a target that recovers works some ticks through twice; the last one counts), `changed` those given differently,
    `corrupt` the lines that could not be read."""

    name: str
    lines: Mapping[int, DigestLine]
    rewritten: int = 0
    changed: int = 0
    corrupt: int = 0

    @property
    def ticks(self) -> tuple[int, ...]:
        """Every tick with a digest, ascending."""
        return tuple(self.lines)


@dataclass(frozen=True)
class Divergence:
    """Where two runs part for the first time.

    `digest`: both have the tick and differ, in `parts` if the target digests parts. `gap`: only one of them has the
    tick, although both have later ones. `length`: one ends before this tick. `after`: of a differing digest, the last
    tick before it for which both have the same one; None where there is none.
    """

    what: Literal["digest", "gap", "length"]
    tick: int
    left: str | None
    right: str | None
    parts: tuple[str, ...] = ()
    after: int | None = None


def read_digests(path: Path, name: str) -> DigestRun:
    """Read digest lines. Torn and corrupt lines are counted and left out. Raises OSError if it cannot be opened."""
    lines: dict[int, DigestLine] = {}
    rewritten = changed = corrupt = 0
    with path.open("rb") as file:
        for raw in file:
            line = _line(raw)
            if line is None:
                corrupt += bool(raw.strip())
                continue
            if (before := lines.get(line.tick)) is not None:
                rewritten += 1
                changed += before.digest != line.digest
            lines[line.tick] = line
    return DigestRun(name, dict(sorted(lines.items())), rewritten, changed, corrupt)


def _line(raw: bytes) -> DigestLine | None:
    try:
        said = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(said, dict) or type(said.get("tick")) is not int or "digest" not in said:
        return None
    parts = said.get("parts")
    return DigestLine(said["tick"], str(said["digest"]), parts if isinstance(parts, dict) else None, said.get("state"))


def first_divergence(left: DigestRun, right: DigestRun) -> Divergence | None:
    """Return the first tick at which two runs part, None when they are equal.

    A differing digest comes before a gap or an early end: only the first says that the states differ.
    """
    after = None
    for tick, ours in left.lines.items():
        theirs = right.lines.get(tick)
        if theirs is not None and ours.digest != theirs.digest:
            return Divergence("digest", tick, ours.digest, theirs.digest, _parts(ours, theirs), after)
        after = after if theirs is None else tick
    one_sided = left.lines.keys() ^ right.lines.keys()
    if not one_sided:
        return None
    tick = min(one_sided)
    shorter = right if tick in left.lines else left
    ended = not shorter.lines or tick > shorter.ticks[-1]
    return Divergence("length" if ended else "gap", tick, _digest(left, tick), _digest(right, tick))


def _digest(run: DigestRun, tick: int) -> str | None:
    line = run.lines.get(tick)
    return line.digest if line else None


def _parts(left: DigestLine, right: DigestLine) -> tuple[str, ...]:
    ours, theirs = left.parts or {}, right.parts or {}
    return tuple(sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)))


def field_diff(left: Any, right: Any) -> tuple[tuple[str, Any, Any], ...]:
    """Return every (path, left, right) in which two JSON values differ: `matches.m-7.pot`, `players[3].gold`.

    A field that only one side has stands as "(absent)" on the other.
    """
    return tuple(_differences("", left, right))


def _differences(path: str, left: Any, right: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(inner, left.get(key, _ABSENT), right.get(key, _ABSENT))
    elif isinstance(left, list) and isinstance(right, list):
        for i in range(max(len(left), len(right))):
            ours = left[i] if i < len(left) else _ABSENT
            theirs = right[i] if i < len(right) else _ABSENT
            yield from _differences(f"{path}[{i}]", ours, theirs)
    elif left != right or type(left) is not type(right):
        yield path or "(the whole state)", left, right
