"""The table of bad versions that were deployed and rolled back, as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.report.tables import Row
from chaosctl.report.wording import NOTHING, amount, duration
from chaosctl.verify.contract import Verdict

RELEASE_COLUMNS = ("release", "there for", "good again", "failed", "answered by it", "left unreadable")


def release_rows(verdict: Verdict) -> list[Row]:
    """Return a row a release, in the order of `RELEASE_COLUMNS`; when the good one served counts from the rollback."""
    return [_release_row(row) for row in verdict.releases]


def _release_row(row: Mapping[str, Any]) -> Row:
    return (
        f"{row.get('deploy', NOTHING)}: {row.get('version', '?')} on {row.get('on', '?')}",
        _there(row),
        _again(row),
        _of(row, "failed", row.get("operations") or 0),
        _of(row, "answered_by_bad", (row.get("operations") or 0) - (row.get("failed") or 0)),
        _left(row),
    )


def _there(row: Mapping[str, Any]) -> str:
    """Return `4.7 s, 180 ms of it beside the good one`."""
    both = f", {duration(row['both_for_ns'])} of it beside the good one" if row.get("both_for_ns") else ""
    return f"{duration(row.get('bad_for_ns') or 0)}{both}"


def _left(row: Mapping[str, Any]) -> str:
    """Return `nothing`, or `3 failed starts, 7 missing`."""
    starts, lost = (row.get("good_exits") or 0) + (row.get("good_unready") or 0), row.get("lost") or 0
    said = [f"{starts} failed start{'s' * (starts != 1)}"] if starts else []
    return ", ".join([*said, f"{lost} missing"] if lost else said) or "nothing"


def _again(row: Mapping[str, Any]) -> str:
    """Return `430 ms ± 50 ms`; `> 8 s` where the good version did not serve again while it was looked."""
    back_ns, at_ns = row.get("rolled_back_ns") or 0, row.get("served_again_ns")
    if at_ns is None:
        return f"> {duration((row.get('censored_ns') or back_ns) - back_ns)}"
    return f"{duration(at_ns - back_ns)} ± {duration(row.get('uncertainty_ns') or 0)}"


def _of(row: Mapping[str, Any], key: str, whole: int) -> str:
    """Return `70 of 440 (15.9 %)`; a dash where nobody can tell."""
    count = row.get(key)
    if count is None:
        return NOTHING
    return f"{count} of {whole}" + (f" ({amount(count / whole, 'share')})" if whole else "")
