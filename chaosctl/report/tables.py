"""The tables that several reporters show, as words: recovery and rollback of each fault, and the faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.report.wording import NOTHING, cell, duration, label
from chaosctl.verify.contract import Verdict

RECOVERY_COLUMNS = ("fault", "noticed", "first good", "serviceable", "steady", "sessions", "outages")
ROLLBACK_COLUMNS = ("fault", "in flight", "ended", "gone", "observed", "settled")
FAULT_COLUMNS = ("fault", "on", "applied", "late by", "healed", "proof")
Row = tuple[str, ...]


def recovery_rows(verdict: Verdict) -> list[Row]:
    """Return a row a fault, in the order of `RECOVERY_COLUMNS`; durations count from the inject, then from the heal."""
    return [_recovery_row(row) for row in verdict.recovery]


def _recovery_row(row: Mapping[str, Any]) -> Row:
    fault = f"{row.get('fault', NOTHING)}: {row.get('kind', '?')} on {row.get('on', '?')}"
    if row.get("first_error_ns") is None:
        seen: Row = ("no outage seen", NOTHING, NOTHING, _since(row, "steady_ns"))
    else:
        times = (_since(row, key) for key in ("first_good_ns", "serviceable_ns", "steady_ns"))
        seen = (_since(row, "first_error_ns"), *times)
    return (fault, *seen, _sessions(row), cell("outages", row.get("outages")))


def _since(row: Mapping[str, Any], key: str) -> str:
    """Return `1.25 s ± 50 ms (−2.75 s from heal)`; `> T` where it did not happen before the end of what was seen."""
    called, healed, at = row.get("called_ns"), row.get("healed_ns"), row.get(key)
    if called is None:
        return NOTHING
    if at is None:
        end = row.get("censored_ns")
        return NOTHING if end is None else f"> {duration(max(end - called, 0))}"
    text = f"{duration(at - called)} ± {duration(row.get('uncertainty_ns') or 0)}"
    return f"{text} ({duration(at - healed)} after heal)" if healed is not None and at > healed else text


def _sessions(row: Mapping[str, Any]) -> str:
    counted = [(word, row.get(f"sessions_{word}")) for word in ("kept", "resumed", "lost")]
    return ", ".join(f"{count} {word}" for word, count in counted if count is not None) or NOTHING


def rollback_rows(verdict: Verdict) -> list[Row]:
    """Return a row a fault, in the order of `ROLLBACK_COLUMNS`; times count from the inject."""
    return [_rollback_row(row) for row in verdict.rollback]


def _rollback_row(row: Mapping[str, Any]) -> Row:
    return (
        f"{row.get('fault', NOTHING)}: {row.get('kind', '?')} on {row.get('on', '?')}",
        str(row.get("in_flight", NOTHING)),
        ", ".join(f"{row[key]} {word}" for key, word in _ENDS.items() if row.get(key)) or NOTHING,
        _gone(row),
        _seen(row, "observed", NOTHING),
        _settled(row),
    )


_ENDS = {
    "resumed": "resumed",
    "rolled_back": "rolled back",
    "both": "both",
    "half_applied": "half-applied",
    "neither": "neither",
    "late": "too late",
    "not_seen": "not seen",
}


def _gone(row: Mapping[str, Any]) -> str:
    """Return `12 of 3400, the oldest 980 ms ± 1 ms before`."""
    text = f"{row.get('gone') or 0} of {row.get('acknowledged') or 0}"
    if row.get("oldest_acked_ns") is not None:
        age_ns = row.get("called_ns", 0) - row["oldest_acked_ns"]
        text += f", the oldest {duration(age_ns)} ± {duration(row.get('uncertainty_ns') or 0)} before"
    return text + (f", {row['unseen']} never looked for" if row.get("unseen") else "")


def _settled(row: Mapping[str, Any]) -> str:
    called, censored = row.get("called_ns") or 0, row.get("censored_ns") or 0
    return _seen(row, "settled", f"> {duration(max(censored - called, 0))}" if row.get("never_settled") else NOTHING)


def _seen(row: Mapping[str, Any], name: str, otherwise: str) -> str:
    at_ns = row.get(f"{name}_ns")
    if at_ns is None:
        return otherwise
    return f"{duration(at_ns - row.get('called_ns', 0))} ± {duration(row.get(f'{name}_uncertainty_ns') or 0)}"


def fault_rows(verdict: Verdict) -> list[Row]:
    """Return a row a fault, in the order of `FAULT_COLUMNS`."""
    return [_fault_row(fault) for fault in verdict.faults]


def _fault_row(fault: Mapping[str, Any]) -> Row:
    due, applied, healed = (fault.get(key) for key in ("due_ns", "applied_ns", "healed_ns"))
    late = duration(applied - due) if applied is not None and due is not None else NOTHING
    doubt = ", not seen to be gone" if fault.get("heal_proved") is False else ""
    proved = "proved" if fault.get("proved") else "not proved"
    return (
        f"{fault.get('id', NOTHING)}: {fault.get('kind', '?')}",
        f"{fault.get('on', NOTHING)}" + (f" ({fault['asked']})" if fault.get("asked") else ""),
        "never" if applied is None else f"at {duration(applied)}",
        late,
        NOTHING if healed is None else f"at {duration(healed)}{doubt}",
        f"{proved}: {fault['proof']}" if fault.get("proof") else proved,
    )


def pairs(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return an object of a verdict (relay, generator, environment) as names and words."""
    return [(label(key), cell(key, value)) for key, value in table.items()]
