"""The replays in words: a row each, and where one first went apart from the run. Read from `verdict.replays`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosctl.recording.factors import Factor
from chaosctl.report.wording import NOTHING, number
from chaosctl.verify.contract import Finding, Status, Verdict

FIELDS_IN_SHORT = 5
NAMES_IN_SHORT = 3
BEFORE = "before"
AGREES = "✔ same digest at every tick"
REPLAY_COLUMNS = ("replay", "compared with", "ticks", "result")


@dataclass(frozen=True)
class Divergence:
    """The first tick at which two runs part, and the inputs of it.

    `fields`: a row each in the order of `columns`: its path, where known its value before that tick, and the two sides.
    """

    headline: str
    digests: str
    columns: tuple[str, ...]
    fields: tuple[tuple[str, ...], ...]
    inputs: tuple[str, ...]


def replay_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """Return rows in the order of `REPLAY_COLUMNS`: one for all that agree in the same way, one for each other."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in verdict.replays:
        name, result = str(row.get("run", NOTHING)), _result(row)
        rest = (str(row.get("against") or NOTHING), number(row.get("compared") or 0), result)
        alike.setdefault(rest if result == AGREES else (*rest, name), []).append(name)
    return [(_together(names), *rest[:3]) for rest, names in alike.items()]


def _together(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMES_IN_SHORT else f"{names[0]} and {len(names) - 1} more"


def _result(row: Mapping[str, Any]) -> str:
    if row.get("first_divergence") is not None:
        return f"✘ parts at tick {row['first_divergence']}"
    return f"? {row['why_not']}" if row.get("why_not") else AGREES


def is_factor(finding: Finding) -> bool:
    """Return whether the finding is about one factor of a replay."""
    return finding.name.removeprefix("replay.") in set(Factor)


def factors_in_short(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what the factors of a replay did, a line a result; none where no factor was asked for.

    `deterministic under: a, b` / `broken by: c` / `not tested: d, e, because ...; f, because ...`
    """
    factors = [(finding.name.removeprefix("replay."), finding) for finding in findings if is_factor(finding)]
    lines = []
    for status, words in ((Status.PASS, "deterministic under"), (Status.FAIL, "broken by")):
        if names := [name for name, finding in factors if finding.status is status]:
            lines.append(f"{words}: {', '.join(names)}")
    reasons: dict[str, list[str]] = {}
    for name, finding in factors:
        if finding.status is Status.INCONCLUSIVE:
            reasons.setdefault(finding.why.removeprefix("not tested: because "), []).append(name)
    if reasons:
        lines.append("not tested: " + "; ".join(f"{', '.join(names)}, because {why}" for why, names in reasons.items()))
    return tuple(lines)


def divergences(verdict: Verdict) -> list[Divergence]:
    """Return one for all the replays that went apart from the same run at the same tick in the same fields."""
    return _divergences(verdict.replays)


def divergences_in_short(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each divergence among the rows of `verdict.replays`, and below it inputs and fields."""
    for one in _divergences(rows):
        yield f"first divergence: {one.headline}"
        yield from (f"  input {given}" for given in one.inputs)
        fields, names = one.fields[:FIELDS_IN_SHORT], [_in_words(column) for column in one.columns[1:]]
        for field, *values in fields:
            yield f"  {field}: " + ", ".join(f"{value} {side}" for side, value in zip(names, values, strict=True))
        if more := len(one.fields) - len(fields):
            yield f"  ... and {more} more fields"


def _divergences(rows: Iterable[Mapping[str, Any]]) -> list[Divergence]:
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("first_divergence") is not None:
            where = [row["first_divergence"], row.get("against"), row.get("parts"), row.get("diff"), row.get("inputs")]
            alike.setdefault(json.dumps(where, sort_keys=True, default=str), []).append(row)
    return [_divergence(same) for same in alike.values()]


def _divergence(rows: Sequence[Mapping[str, Any]]) -> Divergence:
    row = rows[0]
    diff = list(row.get("diff") or ())
    sides = (str(diff[0]["left_run"]), str(diff[0]["right_run"])) if diff else ("", "")
    keys = ("path", "before", "left", "right") if any("before" in one for one in diff) else ("path", "left", "right")
    fields = tuple(tuple(_json(one.get(key, NOTHING)) for key in keys) for one in diff)
    parts = ", ".join(map(str, row.get("parts") or ()))
    who = ", ".join(str(one.get("run")) for one in rows)
    headline = (
        f"{who} {'parts' if len(rows) == 1 else 'part'} from {row.get('against')} at tick {row['first_divergence']}"
    )
    return Divergence(
        headline=f"{headline}, in {parts}" if parts else headline,
        digests=" and ".join(dict.fromkeys(str(digest) for one in rows for digest in one.get("digests") or ())),
        columns=("field", *([BEFORE] if "before" in keys else []), *sides),
        fields=fields,
        inputs=tuple(map(str, row.get("inputs") or ())),
    )


def _in_words(column: str) -> str:
    return column if column == BEFORE else f"in {column}"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
