"""Stage 6: what a checker is, and what it gives back. Pure: sees nothing but the recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from chaosctl.experiment.kinds import ObjectiveKind

if TYPE_CHECKING:  # the reader is heavy, and experiments are validated against the kinds alone
    from chaosctl.recording.reader import Recording


class Status(StrEnum):
    """Worst wins: fail > inconclusive > pass."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"


@dataclass(frozen=True)
class Quantity:
    """A number that was measured or expected. `value` None: there is none (nothing was seen).

    `unit`: `ns`, `share`, `1/s`, `count`, or a name such as `gold`. `censored`: the truth is more than `value` ("> T").
    """

    value: float | None
    unit: str
    censored: bool = False


@dataclass(frozen=True)
class Evidence:
    """Where in the bundle it can be seen: file, place in it, and the fact in words."""

    file: str
    where: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One judged line. `name` is `recovery.serviceable`, `latency.p99`; `op` reads measured OP expected."""

    name: str
    checker: str
    status: Status
    op: str
    expected: Quantity
    measured: Quantity
    uncertainty: float
    why: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What a checker returns: its findings, and tables for the report (`recovery`, `rollback`, `releases` ...)."""

    findings: tuple[Finding, ...]
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)


class Checker(Protocol):
    """One objective. A checker that raises gives `inconclusive`; that is the caller's business."""

    kind: ObjectiveKind

    def check(self, recording: Recording, params: Any) -> Checked:
        """Judge the recording. `params` is an instance of `kind.params`."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What a run proved. verdict.json is this, field by field, with `status` values as strings.

    `faults`: id, kind, on, requested_ns, applied_ns, returned_ns, healed_ns, proved, proof (and heal_proved).
    `recovery`: one row a fault. `releases`: one a bad version. `relay`, `generator`, `environment`: objects.
    `notes`: what a reader must know (torn tails, restarts, closed-loop load). `exit_code` follows from the rest.
    """

    schema_version: int
    experiment: str
    run_id: str
    seed: int
    status: Status
    exit_code: int
    objectives: tuple[Finding, ...]
    faults: tuple[Mapping[str, Any], ...]
    recovery: tuple[Mapping[str, Any], ...]
    rollback: tuple[Mapping[str, Any], ...]
    replays: tuple[Mapping[str, Any], ...]
    relay: Mapping[str, Any]
    generator: Mapping[str, Any]
    environment: Mapping[str, Any]
    ended: str
    notes: tuple[str, ...]
    releases: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class RecoveryRow:
    """The recovery of one fault as the probe saw it; times are run ns, None where it never happened before
    `censored_ns` (the next fault, or the end of the load). Every duration is ± `uncertainty_ns`.

    `outages` counts failed scheduled probes by what they met: refused, reset, closed, silent, wrong.
    """

    fault: str
    kind: str
    on: str
    called_ns: int
    returned_ns: int
    healed_ns: int | None
    censored_ns: int
    uncertainty_ns: int
    last_good_ns: int | None
    first_error_ns: int | None
    first_good_ns: int | None
    serviceable_ns: int | None
    steady_ns: int | None
    relapses: int
    sessions_kept: int | None
    sessions_resumed: int | None
    sessions_lost: int | None
    outages: Mapping[str, int]


@dataclass(frozen=True)
class ReleaseRow:
    """A version that was deployed and rolled back; times are run ns. Everything counts up to `served_again_ns` (± the
    `uncertainty_ns`), or if that was not seen to `censored_ns`.

    `bad_for_ns` is how long the bad version was ready, `both_for_ns` how long both were. `operations` were meant from
    the deploy on, `failed` of them; `answered_by_bad` None: nobody can tell. `good_exits` counts lives of the good
    version that ended of themselves after the rollback, `good_unready` replicas that never became ready, `lost` what
    was acknowledged under the bad version and is in no later read.
    """

    deploy: str
    rollback: str
    on: str
    version: str
    deployed_ns: int
    rolled_back_ns: int
    censored_ns: int
    bad_for_ns: int
    both_for_ns: int
    served_again_ns: int | None
    uncertainty_ns: int
    operations: int
    failed: int
    answered_by_bad: int | None
    good_exits: int
    good_unready: int
    lost: int


@dataclass(frozen=True)
class RollbackRow:
    """What one fault rolled back; times are run ns, None where there was none.

    Of the events `in_flight`, so many came to each end. Of the elements `acknowledged` since the fault before, `gone`
    are in no later read; `unseen` were acknowledged before it and never looked for after it was over. The oldest of
    what is gone was acknowledged at `oldest_acked_ns` (± `uncertainty_ns`). `never_settled`: an event never ended, or
    something was never looked for, up to `censored_ns` at the least; otherwise that is the end of what was seen.
    `observed_id` and `settled_id` are the lines of the history that show it.
    """

    fault: str
    kind: str
    on: str
    called_ns: int
    censored_ns: int
    in_flight: int
    resumed: int
    rolled_back: int
    both: int
    half_applied: int
    neither: int
    late: int
    not_seen: int
    acknowledged: int
    gone: int
    unseen: int
    oldest_acked_ns: int | None
    observed_ns: int | None
    observed_id: int | None
    observed_uncertainty_ns: int
    settled_ns: int | None
    settled_id: int | None
    settled_uncertainty_ns: int
    never_settled: bool
    uncertainty_ns: int
