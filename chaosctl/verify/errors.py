"""The `errors` objective: the share of operations that did not take effect, or of which nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, ShortParams
from chaosctl.experiment.units import DurationNs, Share
from chaosctl.recording.facts import During, strikes, windows
from chaosctl.verify.contract import Checked, Evidence, Finding, Quantity, Status
from chaosctl.verify.estimate import at_most, inside, wilson_half_width

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class ErrorsParams(ShortParams):
    """`errors: 0.1%` is short for `errors: { at_most: 0.1% }`."""

    at_most: Share = Field(description="At most this share of the operations fails or stays without an answer")
    during: During = Field("steady", description="Which stretch: baseline, steady, faults or all")
    settle_ns: DurationNs = Field(3_000_000_000, alias="settle", description="`steady` starts so long after a heal")
    cohort: str | None = Field(None, description="Only the bots of this cohort")
    operation: str | None = Field(None, description="Only this operation")


class ErrorsChecker:
    """Errors are operations with the outcome `fail` or `info`. The ± is the 95 % Wilson score interval's half-width."""

    kind = ObjectiveKind(
        name="errors",
        params=ErrorsParams,
        summary="The share of operations that failed or stayed without an answer.",
        example="errors: { at_most: 0.1%, during: steady }",
        shorthand={"anyOf": [{"type": "string", "pattern": r"^[0-9.]+\s*%$|\$\{"}, {"enum": [0, 1]}]},
    )

    def check(self, recording: Recording, params: ErrorsParams) -> Checked:
        """Return one finding. Too few operations to see so small a share: inconclusive, unless it is exceeded."""
        import numpy as np

        from chaosctl.recording.model import Outcome

        samples = recording.samples("swarm")
        spans = windows(recording, params.during, params.settle_ns)
        indices = inside(samples, spans, strikes(recording), params.cohort, params.operation)
        n = len(indices)
        outcomes = np.bincount(samples.outcome[indices], minlength=3)
        bad = n - int(outcomes[Outcome.OK])
        why = f"{bad} of {n} operations during {params.during}"
        why += f": {outcomes[Outcome.FAIL]} failed, {outcomes[Outcome.INFO]} without a known outcome" if bad else ""
        status = at_most(bad / n, bad / n, params.at_most) if n else Status.INCONCLUSIVE
        if status is Status.PASS and 0 < params.at_most < 1 / n:
            status = Status.INCONCLUSIVE
            why = f"{n} operations are too few to see a share of {params.at_most:.3%}; {why}"
        finding = Finding(
            name="errors",
            checker="errors",
            status=status,
            op="<=",
            expected=Quantity(params.at_most, "share"),
            measured=Quantity(bad / n if n else None, "share"),
            uncertainty=wilson_half_width(bad, n),
            why=why if n else f"no operation was seen during {params.during}",
            evidence=_commonest(samples, indices),
        )
        return Checked((finding,))


def _commonest(samples: Any, indices: Any) -> tuple[Evidence, ...]:
    """The five commonest errors, each with when it first came."""
    import numpy as np

    bad = indices[samples.outcome[indices] != 0]
    codes, first, counts = np.unique(samples.error[bad], return_index=True, return_counts=True)
    order = np.lexsort((codes, -counts))[:5]
    return tuple(
        Evidence(
            "samples/",
            f"intended_ns {samples.intended_ns[bad[first[i]]]}",
            f"{counts[i]} x {samples.errors[codes[i]] or 'error without a text'}",
        )
        for i in order
    )


CHECKER = ErrorsChecker()
