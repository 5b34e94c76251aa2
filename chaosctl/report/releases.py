"""The table of bad versions that were deployed and rolled back, as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosctl.report.tables import Row
from chaosctl.report.wording import NOTHING, amount, duration
from chaosctl.verify.contract import Verdict

RELEASE_COLUMNS = (
    "release",
    "bad for",
    "good again, after rollback",
    "failed",
    "answered by the bad one",
    "both at once",
    "good one's failed starts",
    "missing",
)


def release_rows(verdict: Verdict) -> list[Row]:
    """Return a row a release, in the order of `RELEASE_COLUMNS`."""
    return [_release_row(row) for row in verdict.releases]


def _release_row(row: Mapping[str, Any]) -> Row:
    starts = (row.get("good_exits") or 0) + (row.get("good_unready") or 0)
    return (
        f"{row.get('deploy', NOTHING)}: version {row.get('version', '?')} of {row.get('on', '?')}",
        duration(row.get("bad_for_ns") or 0),
        _again(row),
        _of(row, "failed", row.get("operations") or 0),
        _of(row, "answered_by_bad", (row.get("operations") or 0) - (row.get("failed") or 0)),
        duration(row.get("both_for_ns") or 0),
        str(starts),
        str(row.get("lost") or 0),
    )


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
