"""The `replay` objective: the recorded inputs, given to fresh copies, lead to the same state at every tick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.digests import DigestRun
    from chaosctl.recording.reader import Recording


class ReplayParams(Params):
    """How often."""

    runs: int = Field(3, ge=2, le=100, description="How many fresh copies replay the input log")


class ReplayChecker:
    """Every replay is compared with the live run, or where that left no digests, with the first replay.

    Deterministic means: under the same inputs, as often as it was tried. One different digest is a fail. A replay that
    did not run, exited with an error, or has fewer ticks than the live run shows nothing: inconclusive.
    """

    kind = ObjectiveKind(
        name="replay",
        params=ReplayParams,
        summary="Replays of the recorded inputs lead to the same state digest at every tick.",
        example="replay: { runs: 3 }",
        needs=frozenset({"input_log", "replay"}),
    )

    def check(self, recording: Recording, params: ReplayParams) -> Checked:
        """Return the finding `replay` and the table `replays`, a row a run."""
        from chaosctl.verify.measure.replays import compare

        compared = compare(recording)
        rows = list(compared.rows)
        return Checked((_finding(rows, params.runs, compared.live, compared.against),), {"replays": compared.rows})


def _finding(rows: list[dict[str, Any]], wanted: int, live: DigestRun | None, against: DigestRun | None) -> Finding:
    parted = [row for row in rows if row["first_divergence"] is not None]
    compared = [row for row in rows if row["first_divergence"] is None and row["why_not"] is None]
    if parted:
        status, why = Status.FAIL, _parted(min(parted, key=lambda row: row["first_divergence"]))
    elif len(compared) < wanted:
        status = Status.INCONCLUSIVE
        reasons = [f"{row['run']}: {row['why_not']}" for row in rows if row["why_not"]]
        why = "; ".join([f"{len(compared)} of {wanted} replays could be compared", *reasons])
    else:
        ticks = len(against.lines) if against else 0
        status, why = Status.PASS, f"{len(compared)} replays give the same digest at each of {ticks} ticks"
    if live is None and rows:
        why += "; the live run left no digests, so that replays were compared with each other only"
    return Finding(
        name="replay",
        checker="replay",
        status=status,
        op=">=",
        expected=Quantity(wanted, "count"),
        measured=Quantity(len(compared), "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(_evidence(row) for row in rows),
    )


def _parted(row: dict[str, Any]) -> str:
    why = f"{row['run']} parts from {row['against']} at tick {row['first_divergence']}"
    if row["diff"]:
        first = row["diff"][0]
        why += f": {first['path']} is {_short(first['left'])} in {first['left_run']}"
        why += f" and {_short(first['right'])} in {first['right_run']}"
    elif row["parts"]:
        why += f", in {', '.join(row['parts'])}"
    return why


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _evidence(row: dict[str, Any]) -> Evidence:
    file = f"digests/{row['run']}.jsonl"
    if row["first_divergence"] is not None:
        return Evidence(file, f"tick {row['first_divergence']}", _parted(row))
    return Evidence(file, f"{row['ticks']} ticks", row["why_not"] or f"equal to {row['against']}")


CHECKER = ReplayChecker()
