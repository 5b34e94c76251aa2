"""The `throughput` objective: operations that took effect, a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from chaosctl.experiment.kinds import ObjectiveKind, Params
from chaosctl.experiment.units import NS_PER_S, DurationNs, RatePerS
from chaosctl.recording.facts import During, windows
from chaosctl.verify.contract import Checked, Finding, Quantity, Status
from chaosctl.verify.estimate import Z_95, standard_error

if TYPE_CHECKING:
    from chaosctl.recording.reader import Recording


class ThroughputParams(Params):
    """A lower limit."""

    at_least_per_s: RatePerS = Field(alias="at_least", description="At least so many operations take effect: 500/s")
    during: During = Field("steady", description="Which stretch: baseline, steady, faults or all")
    settle_ns: DurationNs = Field(3_000_000_000, alias="settle", description="`steady` starts so long after a heal")


class ThroughputChecker:
    """The mean over whole seconds, by when operations ended; ± its 95 % interval from the variation of the seconds."""

    kind = ObjectiveKind(
        name="throughput",
        params=ThroughputParams,
        summary="Operations that took effect, a second.",
        example="throughput: { at_least: 500/s, during: baseline }",
    )

    def check(self, recording: Recording, params: ThroughputParams) -> Checked:
        """Return one finding; fewer than two whole seconds are inconclusive."""
        import numpy as np

        from chaosctl.recording.model import Outcome

        samples = recording.samples("swarm")
        ended_ns = np.sort(samples.end_ns[(samples.outcome == Outcome.OK) & (samples.end_ns >= 0)])
        counts: list[float] = []
        for start, end in windows(recording, params.during, params.settle_ns):
            edges = np.arange(start, end + 1, NS_PER_S)
            counts.extend(float(count) for count in np.diff(np.searchsorted(ended_ns, edges)))
        seen = len(samples) > 0 and len(counts) > 1
        mean = sum(counts) / len(counts) if counts else 0.0
        status = Status.PASS if mean >= params.at_least_per_s else Status.FAIL
        finding = Finding(
            name="throughput",
            checker="throughput",
            status=status if seen else Status.INCONCLUSIVE,
            op=">=",
            expected=Quantity(params.at_least_per_s, "1/s"),
            measured=Quantity(mean if seen else None, "1/s"),
            uncertainty=Z_95 * standard_error(counts) if seen else 0.0,
            why=f"mean of {len(counts)} whole seconds during {params.during}"
            if seen
            else f"fewer than two whole seconds with operations were seen during {params.during}",
        )
        return Checked((finding,))


CHECKER = ThroughputChecker()
