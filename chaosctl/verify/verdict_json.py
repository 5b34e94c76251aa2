"""verdict.json: the verdict for other people's programs, and back. The same verdict always gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from chaosctl.errors import RecordingError
from chaosctl.verify.contract import Evidence, Finding, Quantity, Status, Verdict

_TABLES = ("faults", "recovery", "rollback", "replays", "releases")


def verdict_to_dict(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as JSON-able data: its fields, with lists for tuples and text for statuses."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(verdict)))
    return plain


def verdict_to_json(verdict: Verdict) -> str:
    """Return verdict.json's text, ending in a newline."""
    text = json.dumps(verdict_to_dict(verdict), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace").decode()  # undecodable bytes of somebody's output


def verdict_from_dict(given: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `verdict_to_dict` gave. Unknown keys are ignored.

    Raises RecordingError when something is missing.
    """
    try:
        given = {"releases": (), **given}  # older verdicts have none
        values = {field.name: given[field.name] for field in fields(Verdict)}
        values["status"] = Status(values["status"])
        values["objectives"] = tuple(_finding(finding) for finding in values["objectives"])
        values |= {name: tuple(values[name]) for name in (*_TABLES, "notes")}
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"verdict.json is damaged ({error}); judge again with 'chaosctl verify'") from None
    return Verdict(**values)


def _finding(given: Mapping[str, Any]) -> Finding:
    values = {field.name: given[field.name] for field in fields(Finding)}
    values["status"] = Status(values["status"])
    values |= {name: _quantity(values[name]) for name in ("expected", "measured")}
    values["evidence"] = tuple(Evidence(one["file"], one["where"], one["text"]) for one in values["evidence"])
    return Finding(**values)


def _quantity(given: Mapping[str, Any]) -> Quantity:
    return Quantity(given["value"], given["unit"], bool(given["censored"]))
