"""The `replay` objective: the recorded inputs, given to fresh copies, lead to the same state at every tick."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import DurationNs
from chaosctl.recording.factors import Factor
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status

if TYPE_CHECKING:
    from chaosctl.recording.digests import DigestRun
    from chaosctl.recording.reader import Recording
    from chaosctl.verify.measure.perturbed import Outcome
    from chaosctl.verify.measure.tampering import Isolation


def _all_or_some(given: Any) -> Any:
    if given == "all":
        return tuple(Factor)
    if not isinstance(given, list | tuple):
        raise ValueError(f"'{given}' is no list of factors; write all, or [{Factor.HASH_SEED}, {Factor.CLOCK}]")
    if len(set(map(str, given))) < len(given):
        raise ValueError("a factor is named twice; name each once")
    return given


Factors = Annotated[
    tuple[Factor, ...],
    BeforeValidator(_all_or_some),
    WithJsonSchema(
        {"anyOf": [{"const": "all"}, {"type": "array", "items": {"enum": [str(factor) for factor in Factor]}}]}
    ),
]


class ReplayParams(Params):
    """How often, and what is changed about fresh copies that a deterministic one must not notice."""

    runs: int = Field(3, ge=2, le=100, description="How many fresh copies replay the input log")
    perturb: Factors = Field(
        (), description="Factors to change, each alone in further replays: `all`, or a list; left out: none"
    )
    tamper: int = Field(
        0, ge=0, le=1_000, description="How often one recorded input is changed, to see whether the digests notice it"
    )
    minimise_ns: DurationNs | None = Field(
        None, alias="minimise", description="Where replays part, how long to look for the shortest log that shows it"
    )


class ReplayChecker:
    """Every replay is compared with the live run, or where that left no digests, with the first replay.

    Deterministic means: under the same inputs, as often as it was tried. One different digest is a fail. A replay that
    did not run, exited with an error, or has fewer ticks than the live run shows nothing: inconclusive.

    Each perturbed factor has a finding of its own, `replay.<factor>`: see verify/measure/perturbed.py. With `tamper`
    there is `replay.isolation`: each time, one recorded input was dropped, swapped with another one, duplicated or
    altered, and the digests must notice that: see verify/measure/tampering.py.
    """

    kind = ObjectiveKind(
        name="replay",
        params=ReplayParams,
        summary="Replays of the recorded inputs lead to the same state digest at every tick.",
        example="replay: { runs: 3 }",
        needs=frozenset({"input_log", "replay"}),
    )

    def check(self, recording: Recording, params: ReplayParams) -> Checked:
        """Return the finding `replay`, one a factor, `replay.isolation` if asked for, and the table `replays`."""
        from chaosctl.verify.measure.perturbed import outcomes
        from chaosctl.verify.measure.replays import compare
        from chaosctl.verify.measure.reproducers import with_reproducers
        from chaosctl.verify.measure.tampering import isolation

        compared = compare(recording)
        plain = _finding(list(compared.rows), params.runs, compared.live, compared.against)
        perturbed = outcomes(recording, compared, params.perturb)
        findings = tuple(with_reproducers(recording, one) for one in (plain, *map(_of_factor, perturbed)))
        if params.tamper:
            isolated = isolation(recording, params.tamper, plain_parted=compared.plain_parted)
            findings += (_of_isolation(isolated, params.tamper),)
        return Checked(findings, {"replays": (*compared.rows, *compared.perturbed)})


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
    for words in dict.fromkeys(row["said"] for row in rows if row["said"]):
        why += f"; it said: {words}"
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


def _of_factor(outcome: Outcome) -> Finding:
    why = outcome.why
    if (parted := outcome.parted) is not None:
        why = f"broken by it: {_parted(parted)}; {why}"
    return Finding(
        name=f"replay.{outcome.factor}",
        checker="replay",
        status=outcome.status,
        op=">=",
        expected=Quantity(outcome.wanted, "count"),
        measured=Quantity(outcome.equal, "count"),
        uncertainty=0.0,
        why=why,
        evidence=tuple(_evidence(row) for row in outcome.rows),
    )


def _of_isolation(isolated: Isolation, wanted: int) -> Finding:
    return Finding(
        name="replay.isolation",
        checker="replay",
        status=isolated.status,
        op=">=",
        expected=Quantity(wanted, "count"),
        measured=Quantity(isolated.noticed, "count"),
        uncertainty=0.0,
        why=isolated.why,
        evidence=isolated.evidence,
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
