"""Where a replay first went apart from the run, read from the rows of `verdict.replays`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaosctl.verify.contract import Verdict

MAX_FIELDS = 50


@dataclass(frozen=True)
class FieldDifference:
    """One field of the state with its value on both sides, as JSON."""

    field: str
    first: str
    second: str


@dataclass(frozen=True)
class Divergence:
    """The first tick at which two runs part. `columns` names the field and the two sides; `more` were left out."""

    headline: str
    columns: tuple[str, str, str]
    fields: tuple[FieldDifference, ...]
    more: int


def divergences(verdict: Verdict) -> list[Divergence]:
    """Return one a row that has a `first_divergence`: {tick, what, left, right, parts, fields [[path, a, b], ...]}."""
    return list(_divergences(verdict))


def _divergences(verdict: Verdict) -> Iterator[Divergence]:
    for row in verdict.replays:
        found = row.get("first_divergence")
        if isinstance(found, Mapping):
            yield _divergence(row, found)


def _divergence(row: Mapping[str, Any], found: Mapping[str, Any]) -> Divergence:
    fields = list(found.get("fields") or ())
    shown = tuple(FieldDifference(str(path), _json(left), _json(right)) for path, left, right in fields[:MAX_FIELDS])
    parts = ", ".join(map(str, found.get("parts") or ()))
    where = f" in {parts}" if parts else ""
    headline = f"{row.get('run', 'replay')} against {row.get('against', 'live')} at tick {found.get('tick')}{where}"
    columns = ("field", str(row.get("against", "live")), str(row.get("run", "replay")))
    return Divergence(headline, columns, shown, len(fields) - len(shown))


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
