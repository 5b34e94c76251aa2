"""What perturbed replays say of each factor: deterministic under it, broken by it, or not tested and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaosctl.recording.factors import HELD, Factor, perturbed_run
from chaosctl.verify.contract import Status
from chaosctl.verify.measure.replays import Compared, same_digests

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


@dataclass(frozen=True)
class Outcome:
    """One factor: its replays (rows as in verdict.json), and the first of them that parted from the plain replay."""

    factor: Factor
    status: Status
    why: str
    rows: tuple[dict[str, Any], ...] = ()
    parted: dict[str, Any] | None = None

    @property
    def wanted(self) -> int:
        """How many replays had to be equal."""
        return max(1, len(self.rows))

    @property
    def equal(self) -> int:
        """How many were; none where they are equal to each other only, and what is plain is not."""
        if self.status is Status.FAIL and self.parted is None:
            return 0
        return sum(row["first_divergence"] is None and row["why_not"] is None for row in self.rows)


def outcomes(recording: Recording, compared: Compared, factors: Sequence[Factor]) -> tuple[Outcome, ...]:
    """Return what is known of each of `factors`.

    A factor is tested only where its canary was reached. Where plain replays already part from each other, a factor
    can still be told to be what broke them: replays with it pinned to one value do not part.
    """
    return tuple(_outcome(recording, compared, factor) for factor in factors)


def _outcome(recording: Recording, compared: Compared, factor: Factor) -> Outcome:
    canaries = [one for one in recording.events_named("replay_canary") if one.fields.get("factor") == factor]
    if not canaries:
        return Outcome(factor, Status.INCONCLUSIVE, "not tested: because it is not recorded that it was tried")
    text = str(canaries[-1].fields.get("text"))
    if canaries[-1].fields.get("reached") is not True:
        return Outcome(factor, Status.INCONCLUSIVE, f"not tested: because {text}")
    rows = tuple(row for row in compared.perturbed if row["factor"] == factor)
    if compared.plain_parted:
        return _pinned(recording, factor, rows, text)
    parted = next((row for row in rows if row["first_divergence"] is not None), None)
    if parted is not None:
        return Outcome(factor, Status.FAIL, text, rows, parted)
    reasons = [f"{row['run']}: {row['why_not']}" for row in rows if row["why_not"]]
    if not rows or not compared.rows:
        reasons.append("there is no plain and perturbed replay to compare")
    if reasons:
        return Outcome(factor, Status.INCONCLUSIVE, f"not tested: because {'; '.join(reasons)}", rows)
    ticks = " and ".join(dict.fromkeys(str(row["compared"]) for row in rows))
    return Outcome(factor, Status.PASS, f"the same digest at each of {ticks} ticks; {text}", rows)


def _pinned(recording: Recording, factor: Factor, rows: tuple[dict[str, Any], ...], text: str) -> Outcome:
    """Judge a factor where plain replays part: replays with it pinned are equal only if it is what broke them."""
    names = [perturbed_run(factor, which) for which in HELD]
    held = [row for row in rows if row["run"] in names]
    ended_well = len(held) == len(names) and all(row["code"] == 0 for row in held)
    if ended_well and all(same_digests(recording, names[0], name) for name in names[1:]):
        why = f"broken by it: plain replays part, and those with it held at one value are equal; {text}"
        return Outcome(factor, Status.FAIL, why, rows)
    return Outcome(factor, Status.INCONCLUSIVE, "not tested: because replays part already without it", rows)
